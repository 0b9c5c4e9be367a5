//! The witness on the network: requests in, status codes out. One thread that accepts, one short-lived thread a client, at
//! most so many of them, and few of one address.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::decision::Refusal;
use super::hosts::{Hosts, Outcome};
use super::http::{self, Answer, NoRequest, Request};
use super::{WitnessError, tls};
use crate::chain::add_checkpoint::AddCheckpoint;
use crate::chain::{Hash, hex, unhex};

/// Clients served at the same time.
const MAX_CLIENTS: usize = 512;
/// Of them, from one address: a site behind one address has more hosts than that, but they don't all ask at once.
const MAX_OF_ADDRESS: usize = 64;
/// How long a client may take to send a request, and how long a connection may be idle between two.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the accepting thread looks whether it is to stop.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Where to listen, and how.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// Certificate chain and private key, both PEM; without them it is plain HTTP, for behind a proxy.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// Serves until `stop`; answers what was asked by then.
///
/// # Errors
/// When the address or the certificate can't be had.
pub fn serve(hosts: Hosts, listen: &Listen, stop: &AtomicBool) -> Result<(), WitnessError> {
    let named = PathBuf::from(listen.address.to_string());
    let tls = listen.tls.as_ref().map(|(certificate, key)| tls::load(certificate, key)).transpose()?;
    let listener = TcpListener::bind(listen.address).map_err(WitnessError::io(&named, "listening"))?;
    listener.set_nonblocking(true).map_err(WitnessError::io(&named, "listening"))?;
    let address = listener.local_addr().map_err(WitnessError::io(&named, "listening"))?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    tracing::info!(url = format!("{scheme}://{address}"), key = %hosts.key().public(), "witnessing");
    let server = Arc::new(Server { hosts, tls, clients: Mutex::default() });
    let mut threads = Vec::new();
    while !stop.load(SeqCst) {
        let mut ready = [PollFd::new(&listener, PollFlags::IN)];
        let _interrupted = poll(&mut ready, Some(&LOOK));
        threads.retain(|thread: &std::thread::JoinHandle<()>| !thread.is_finished());
        match listener.accept() {
            Ok((client, peer)) => threads.extend(server.start(client, peer)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                // Out of descriptors, usually: the client stays in the backlog, so a short rest avoids a busy loop.
                tracing::warn!(%error, "cannot accept a client");
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
    for thread in threads {
        let _panicked = thread.join();
    }
    Ok(())
}

struct Server {
    hosts: Hosts,
    tls: Option<Arc<ServerConfig>>,
    clients: Mutex<HashMap<IpAddr, usize>>,
}

/// A client's place; given back when dropped.
struct Place(Arc<Server>, IpAddr);

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = self.0.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = clients.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&self.1);
            }
        }
    }
}

impl Server {
    /// Gives the client a thread, or closes its connection when there are too many.
    fn start(self: &Arc<Self>, client: TcpStream, peer: SocketAddr) -> Option<std::thread::JoinHandle<()>> {
        let Some(place) = self.place(peer.ip()) else {
            tracing::debug!(%peer, "too many clients");
            return None;
        };
        let serve = move || {
            if let Err(error) = place.0.serve(client) {
                tracing::debug!(%peer, %error, "client ended");
            }
        };
        let started = std::thread::Builder::new().name("client".to_owned()).spawn(serve);
        started.inspect_err(|error| tracing::warn!(%error, "cannot start a thread for a client")).ok()
    }

    fn place(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = clients.values().sum();
        let of_address = clients.entry(address).or_default();
        if all >= MAX_CLIENTS || *of_address >= MAX_OF_ADDRESS {
            return None;
        }
        *of_address += 1;
        Some(Place(Arc::clone(self), address))
    }

    fn serve(&self, client: TcpStream) -> io::Result<()> {
        client.set_nonblocking(false)?;
        client.set_read_timeout(Some(PATIENCE))?;
        client.set_write_timeout(Some(PATIENCE))?;
        client.set_nodelay(true)?;
        match &self.tls {
            None => self.converse(client),
            Some(config) => {
                let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
                self.converse(StreamOwned::new(connection, client))
            }
        }
    }

    fn converse(&self, mut stream: impl Read + Write) -> io::Result<()> {
        let mut rest = Vec::new();
        loop {
            match http::read(&mut stream, &mut rest, Instant::now() + PATIENCE) {
                Ok(request) => {
                    http::write(&mut stream, &self.answer(&request), request.keeps)?;
                    if !request.keeps {
                        return Ok(());
                    }
                }
                Err(NoRequest::Gone) => return Ok(()),
                Err(NoRequest::Refused(answer)) => return http::write(&mut stream, &answer, false),
            }
        }
    }

    fn answer(&self, request: &Request) -> Answer {
        let read_back = request.path.strip_prefix('/').and_then(|path| path.strip_suffix("/checkpoint"));
        // One address for each log: in lower case.
        let read_back = read_back.filter(|digits| !digits.bytes().any(|byte| byte.is_ascii_uppercase()));
        match (request.method.as_str(), request.path.as_str(), read_back.and_then(unhex)) {
            ("POST", "/add-checkpoint", _) => self.add_checkpoint(&request.body),
            ("GET", _, Some(origin)) => self.newest(origin),
            (_, "/add-checkpoint", _) | (_, _, Some(_)) => Answer::text(405, "not by this method\n"),
            _ => {
                Answer::text(404, "there is nothing here but /add-checkpoint and /<origin hash>/checkpoint\n")
            }
        }
    }

    fn newest(&self, origin: Hash) -> Answer {
        match self.hosts.newest(origin) {
            Ok(Some(checkpoint)) => Answer::text(200, checkpoint.to_string()),
            Ok(None) => Answer::text(404, "no checkpoint of this log was cosigned here\n"),
            Err(error) => failed(&hex(&origin), &error),
        }
    }

    fn add_checkpoint(&self, body: &[u8]) -> Answer {
        let request = match AddCheckpoint::parse(body) {
            Ok(request) => request,
            Err(error) => return Answer::text(400, format!("not a request: {error}\n")),
        };
        let (origin, size) = (request.checkpoint.origin(), request.checkpoint.size());
        let time = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        match self.hosts.take(&request, time) {
            Ok(Some(Outcome::Cosigned(line))) => {
                tracing::debug!(origin, size, "cosigned");
                Answer::text(200, format!("{line}\n"))
            }
            Ok(Some(Outcome::Refused(refusal))) => refuse(origin, size, refusal),
            Ok(None) => Answer::text(404, "this log is not known here\n"),
            Err(error) => failed(origin, &error),
        }
    }
}

/// The status code of a refusal; what a host signed against itself is an alarm.
fn refuse(origin: &str, size: u64, refusal: Refusal) -> Answer {
    let status = match refusal {
        Refusal::NotSigned(_) => 403,
        Refusal::Backwards => 400,
        Refusal::Conflict { known } => {
            if known > size {
                tracing::warn!(
                    origin,
                    size,
                    known,
                    "a host asks for less than was cosigned: it was set back"
                );
            }
            return Answer { status: 409, kind: "text/x.tlog.size", body: format!("{known}\n") };
        }
        Refusal::Inconsistent { known, .. } => {
            tracing::error!(
                origin,
                size,
                known,
                %refusal,
                "a host signed what does not continue its history; the evidence is kept"
            );
            422
        }
    };
    Answer::text(status, format!("{refusal}\n"))
}

fn failed(origin: &str, error: &WitnessError) -> Answer {
    tracing::error!(origin, %error, "cannot answer for this host");
    Answer::text(500, "the witness can't answer for this log; its own log says why\n")
}
