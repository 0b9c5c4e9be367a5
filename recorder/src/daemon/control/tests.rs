//! Tests of the control socket, with a real socket and no daemon.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

use recorder_common::class::Class;

use super::*;

struct Sandbox {
    directory: tempfile::TempDir,
    shared: Arc<Shared>,
}

impl Sandbox {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let shared = Shared::new(directory.path(), "b00t", 7);
        Self { directory, shared }
    }

    fn socket(&self) -> std::path::PathBuf {
        self.directory.path().join("control.sock")
    }

    fn start(&self) -> Server {
        Server::start(&self.socket(), self.directory.path(), Arc::clone(&self.shared)).unwrap()
    }

    fn ask(&self, request: &[u8]) -> BufReader<UnixStream> {
        let mut client = UnixStream::connect(self.socket()).unwrap();
        client.write_all(request).unwrap();
        BufReader::new(client)
    }

    fn store_frame(&self, frame_no: u64) {
        let (segment, t_first, now) = ("seg-0000000007.krl.zst", 1_000_000_000, 1_250_000_000);
        self.shared.frame_stored(&FrameStored { frame_no, events: 10, bytes: 400, segment, t_first, now });
    }
}

fn line(answer: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    answer.read_line(&mut line).unwrap();
    line
}

#[test]
fn status_tells_what_the_pipeline_counted() {
    let sandbox = Sandbox::new();
    let server = sandbox.start();
    let shared = &sandbox.shared;
    assert_eq!(shared.status().since, None);
    shared.set_recording(1_700_000_000_000_000_000);
    shared.add_events(Class::Critical, 3);
    shared.add_lost(Class::Files, 5);
    (0..4).for_each(|now| shared.backlog().sent(now));
    sandbox.store_frame(7);
    shared.set_failure("disk full");
    shared.set_failure("later");
    let status: Status = serde_json::from_str(&line(&mut sandbox.ask(b"{\"verb\":\"status\"}\n"))).unwrap();
    assert_eq!(status, shared.status());
    assert_eq!(status.since.as_deref(), Some("2023-11-14T22:13:20Z"));
    assert_eq!(status.classes.first().unwrap().events, 3);
    assert_eq!(status.classes.last().unwrap().lost, 5);
    assert_eq!(status.queues, [Queue { name: "frames".to_owned(), length: 4, capacity: 16 }]);
    assert_eq!((status.durable.frames, status.durable.events, status.durable.lag_ms), (8, 10, 250));
    assert_eq!(status.failure.as_deref(), Some("disk full"));
    server.stop();
    assert!(!sandbox.socket().exists());
}

#[test]
fn a_follower_gets_the_watermark_now_and_when_it_grows_and_the_end_when_the_daemon_stops() {
    let sandbox = Sandbox::new();
    let server = sandbox.start();
    let mut answer = sandbox.ask(b"{\"verb\":\"follow\"}\n");
    assert_eq!(line(&mut answer), "{\"durable_frames\":7}\n");
    sandbox.store_frame(7);
    assert_eq!(line(&mut answer), "{\"durable_frames\":8}\n");
    sandbox.store_frame(8);
    assert_eq!(line(&mut answer), "{\"durable_frames\":9}\n");
    server.stop();
    assert_eq!(line(&mut answer), "");
}

#[test]
fn bad_requests_are_answered_with_an_error() {
    let sandbox = Sandbox::new();
    let server = sandbox.start();
    let oversized = vec![b'x'; 5000];
    for request in [&b"hello\n"[..], b"{\"verb\":\"shutdown\"}\n", b"{}\n", &oversized] {
        let answer = line(&mut sandbox.ask(request));
        assert!(answer.starts_with("{\"error\":"), "{answer}");
    }
    server.stop();
}

#[test]
fn one_client_too_many_is_sent_away_and_a_place_becomes_free_again() {
    let sandbox = Sandbox::new();
    let server = sandbox.start();
    let mut followers: Vec<_> = (0..MAX_CLIENTS).map(|_| sandbox.ask(b"{\"verb\":\"follow\"}\n")).collect();
    for follower in &mut followers {
        assert_eq!(line(follower), "{\"durable_frames\":7}\n");
    }
    let refused = line(&mut BufReader::new(UnixStream::connect(sandbox.socket()).unwrap()));
    assert_eq!(refused, "{\"error\":\"too many clients\"}\n");
    drop(followers);
    sandbox.store_frame(7);
    let served = |_: &i32| {
        let mut answer = BufReader::new(UnixStream::connect(sandbox.socket()).unwrap());
        // A client that was sent away may find its end of the socket closed: that is an answer as well.
        let asked = answer.get_mut().write_all(b"{\"verb\":\"status\"}\n");
        let mut text = String::new();
        asked.is_ok() && answer.read_line(&mut text).is_ok() && text.contains("\"durable\"")
    };
    assert!((0..1000).any(|attempt| served(&attempt)));
    server.stop();
}

#[test]
fn only_the_group_of_the_store_may_connect() {
    let sandbox = Sandbox::new();
    let server = sandbox.start();
    let mode = std::fs::metadata(sandbox.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o660);
    server.stop();
}

#[test]
fn a_stale_socket_is_replaced_but_a_live_one_and_other_files_are_not() {
    let sandbox = Sandbox::new();
    drop(UnixListener::bind(sandbox.socket()).unwrap());
    let server = sandbox.start();
    let again = Server::start(&sandbox.socket(), sandbox.directory.path(), Arc::clone(&sandbox.shared));
    assert!(matches!(again, Err(ControlError::InUse { .. })));
    server.stop();
    std::fs::write(sandbox.socket(), b"precious").unwrap();
    let blocked = Server::start(&sandbox.socket(), sandbox.directory.path(), Arc::clone(&sandbox.shared));
    assert!(matches!(blocked, Err(ControlError::NotASocket { .. })));
}

#[test]
fn the_socket_is_never_inside_the_store() {
    assert_eq!(socket_path(Path::new("/var/log/recorder")), Path::new("/run/recorder/control.sock"));
    assert_eq!(socket_path(Path::new("/data/log")), Path::new("/data/log.state/control.sock"));
    assert_eq!(state_directory(Path::new("/data/log/")), Path::new("/data/log.state"));
}
