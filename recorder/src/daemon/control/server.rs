//! The daemon's side of the control socket: one thread that accepts, one short-lived thread for each client.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::{AtFlags, CWD, Gid, Mode, chmod, chownat};
use serde::Serialize;
use tracing::{debug, warn};

use super::protocol::{Request, Verb, Watermark};
use super::shared::{Shared, Stopping};

/// Clients served at the same time; the next one is told so and sent away.
pub const MAX_CLIENTS: usize = 32;
/// Longest request line, in bytes.
pub const MAX_REQUEST: u64 = 4096;
/// How long a client may take to send its request, and to take an answer; also bounds how long a stop can take.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a follower's thread looks whether its client is still there.
const HANGUP_CHECK: Duration = Duration::from_secs(1);

/// Why the control socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Another process answers on the socket.
    #[error("another recorder daemon already listens on {path}")]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is not a socket has its name.
    #[error("{path} is in the way of the control socket and is not a socket; remove it")]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// A listening control socket; [`Server::stop`] ends it.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    stop: Arc<OwnedFd>,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

impl Server {
    /// Listens on `path`, mode 0660 with the group of `store`, and serves `shared` from threads of its own.
    ///
    /// A socket that nobody answers is replaced. The directory must exist and let the group pass.
    ///
    /// # Errors
    /// When another daemon listens there, another file is in the way, or the system refuses.
    pub fn start(path: &Path, store: &Path, shared: Arc<Shared>) -> Result<Self, ControlError> {
        let listener = listen(path, store)?;
        let failed = |action| move |source| ControlError::Io { action, path: path.to_owned(), source };
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(|error| failed("watch")(error.into()))?;
        let stop = Arc::new(stop);
        let (thread_stop, thread_shared) = (Arc::clone(&stop), Arc::clone(&shared));
        let acceptor = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || accept_clients(&listener, &thread_stop, &thread_shared))
            .map_err(failed("start a thread for"))?;
        Ok(Self { path: path.to_owned(), stop, shared, acceptor })
    }

    /// Stops accepting, lets followers take what is durable and go, and removes the socket.
    pub fn stop(self) {
        self.shared.stop_followers();
        if let Err(error) = rustix::io::write(&*self.stop, &1_u64.to_ne_bytes()) {
            warn!(%error, "control socket: cannot wake the accepting thread");
            return;
        }
        if self.acceptor.join().is_err() {
            warn!("control socket: the accepting thread had panicked");
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            warn!(path = %self.path.display(), %error, "control socket: cannot remove it");
        }
    }
}

fn listen(path: &Path, store: &Path) -> Result<UnixListener, ControlError> {
    let failed = |action| move |source| ControlError::Io { action, path: path.to_owned(), source };
    make_way(path)?;
    // Bound under another name first, so that the socket appears with its final mode and group, in one step.
    let mut hidden = path.as_os_str().to_owned();
    hidden.push(".new");
    let hidden = PathBuf::from(hidden);
    if std::fs::symlink_metadata(&hidden).is_ok() {
        std::fs::remove_file(&hidden).map_err(failed("replace"))?;
    }
    let listener = UnixListener::bind(&hidden).map_err(failed("listen on"))?;
    let group = std::fs::metadata(store).map_err(|source| ControlError::Io {
        action: "find the group of",
        path: store.to_owned(),
        source,
    })?;
    chownat(CWD, &hidden, None, Some(Gid::from_raw(group.gid())), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|error| failed("set the group of")(error.into()))?;
    chmod(&hidden, Mode::from_raw_mode(0o660)).map_err(|error| failed("set the mode of")(error.into()))?;
    std::fs::rename(&hidden, path).map_err(failed("put in place"))?;
    listener.set_nonblocking(true).map_err(failed("set up"))?;
    Ok(listener)
}

/// Checks that nobody listens on `path` and that only a socket would be replaced.
fn make_way(path: &Path) -> Result<(), ControlError> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            Err(ControlError::NotASocket { path: path.to_owned() })
        }
        Ok(_) if UnixStream::connect(path).is_ok() => Err(ControlError::InUse { path: path.to_owned() }),
        _ => Ok(()),
    }
}

fn accept_clients(listener: &UnixListener, stop: &OwnedFd, shared: &Arc<Shared>) {
    let clients = Arc::new(AtomicUsize::new(0));
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    loop {
        let mut ready = [PollFd::new(listener, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => {
                warn!(%error, "control socket: cannot wait for clients");
                break;
            }
        }
        let [_, stopping] = &ready;
        if !stopping.revents().is_empty() {
            break;
        }
        threads.retain(|thread| !thread.is_finished());
        match listener.accept() {
            Ok((client, _)) => threads.extend(start_client(client, &clients, shared)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                // Out of descriptors, usually: the client stays in the backlog, so a short rest avoids a busy loop.
                warn!(%error, "control socket: cannot accept a client");
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
    for thread in threads {
        let _panicked = thread.join();
    }
}

/// Gives the client a thread, or sends it away when there are too many.
fn start_client(
    client: UnixStream,
    clients: &Arc<AtomicUsize>,
    shared: &Arc<Shared>,
) -> Option<JoinHandle<()>> {
    let place = Place::take(clients);
    let shared = Arc::clone(shared);
    let Some(place) = place else {
        debug!("control socket: too many clients");
        let _gone = client.set_nonblocking(true).and_then(|()| refuse(&client, "too many clients"));
        return None;
    };
    let serve = move || {
        let _place = place;
        if let Err(error) = serve_client(&client, &shared) {
            debug!(%error, "control socket: client ended");
        }
    };
    match std::thread::Builder::new().name("control-client".to_owned()).spawn(serve) {
        Ok(thread) => Some(thread),
        Err(error) => {
            warn!(%error, "control socket: cannot start a thread for a client");
            None
        }
    }
}

/// One of the [`MAX_CLIENTS`] places; given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(clients: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(clients));
        (clients.fetch_add(1, SeqCst) < MAX_CLIENTS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

fn serve_client(client: &UnixStream, shared: &Shared) -> io::Result<()> {
    // The listener does not block; what it accepted must.
    client.set_nonblocking(false)?;
    client.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    client.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    if let Ok(peer) = rustix::net::sockopt::socket_peercred(client) {
        debug!(pid = peer.pid.as_raw_nonzero().get(), uid = peer.uid.as_raw(), "control socket: client");
    }
    let mut line = Vec::new();
    BufReader::new(client.take(MAX_REQUEST)).read_until(b'\n', &mut line)?;
    if line.last() != Some(&b'\n') {
        return refuse(client, "the request is not one line of at most 4096 bytes");
    }
    match serde_json::from_slice::<Request>(&line) {
        Ok(Request { verb: Verb::Status }) => send(client, &shared.status()),
        Ok(Request { verb: Verb::Follow }) => follow(client, shared),
        Err(error) => refuse(client, &format!("not a request: {error}")),
    }
}

/// Sends the watermark whenever it grows, until the client hangs up or the daemon stops.
fn follow(client: &UnixStream, shared: &Shared) -> io::Result<()> {
    let mut sent = shared.durable_frames();
    send(client, &Watermark { durable_frames: sent })?;
    loop {
        match shared.wait_durable(sent, HANGUP_CHECK) {
            Ok(frames) if frames > sent => match send(client, &Watermark { durable_frames: frames }) {
                Ok(()) => sent = frames,
                // A paused client misses nothing: it gets the newest number when it reads again. So short a line is
                // taken by the socket as a whole or not at all.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !shared.is_stopping() => {}
                Err(error) => return Err(error),
            },
            Ok(_) if has_hung_up(client) => return Ok(()),
            Ok(_) => {}
            Err(Stopping) => return Ok(()),
        }
    }
}

fn has_hung_up(client: &UnixStream) -> bool {
    let mut ready = [PollFd::from_borrowed_fd(client.as_fd(), PollFlags::RDHUP)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    let polled = poll(&mut ready, Some(&now));
    let [client] = &ready;
    polled.is_err() || client.revents().intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR)
}

fn refuse(client: &UnixStream, why: &str) -> io::Result<()> {
    send(client, &serde_json::json!({ "error": why }))
}

fn send(mut client: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    client.write_all(&line)
}
