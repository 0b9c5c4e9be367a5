//! The reading side of the control socket.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::daemon::control::{Request, Status, Verb, Watermark, socket_path};

/// Longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 1 << 20;
/// How long the daemon may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why the daemon could not be asked. No variant carries an `io::Error` as its source: a socket that breaks must not
/// be taken for a closed stdout.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no recorder daemon runs for the store {}; start it with `{}`", store.display(), start_command(store))]
    NotRunning {
        /// The store.
        store: PathBuf,
    },
    /// Not root and not in the group.
    #[error("{}: permission denied; root and members of the store's group may ask the daemon", socket.display())]
    Denied {
        /// The socket.
        socket: PathBuf,
    },
    /// The daemon answered, but with a refusal or with nonsense.
    #[error("{}: the daemon answered: {why}", socket.display())]
    Answer {
        /// The socket.
        socket: PathBuf,
        /// Its words.
        why: String,
    },
    /// The system refused.
    #[error("{}: cannot ask the daemon: {why}", socket.display())]
    Io {
        /// The socket.
        socket: PathBuf,
        /// The system's answer.
        why: String,
    },
}

/// The command that starts the daemon of this store.
fn start_command(store: &Path) -> String {
    if store == Path::new(crate::daemon::control::DEFAULT_STORE) {
        "systemctl start recorder".to_owned()
    } else {
        format!("recorder daemon --store {}", store.display())
    }
}

/// What the daemon of this store says about itself.
///
/// # Errors
/// When none runs, or it can't be asked.
pub fn status(store: &Path) -> Result<Status, ClientError> {
    let mut connection = Connection::open(store, Verb::Status)?;
    connection.stream.get_mut().set_read_timeout(Some(TIMEOUT)).map_err(|error| connection.failed(&error))?;
    let socket = connection.socket.clone();
    connection
        .next()?
        .ok_or_else(|| ClientError::Answer { socket, why: "nothing: it closed the connection".to_owned() })
}

/// The growing watermark of a running daemon.
#[derive(Debug)]
pub struct Watermarks(Connection);

impl Watermarks {
    /// Asks the daemon of this store.
    ///
    /// # Errors
    /// When none runs, or it can't be asked.
    pub fn open(store: &Path) -> Result<Self, ClientError> {
        Connection::open(store, Verb::Follow).map(Self)
    }

    /// The number of durable frames now; gives up after a few seconds.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn first(&mut self) -> Result<Option<u64>, ClientError> {
        let set = self.0.stream.get_mut().set_read_timeout(Some(TIMEOUT));
        set.map_err(|error| self.0.failed(&error))?;
        self.wait()
    }

    /// Waits for the next number of durable frames; `None` when the daemon stopped.
    ///
    /// # Errors
    /// When the connection breaks or the answer makes no sense.
    pub fn wait(&mut self) -> Result<Option<u64>, ClientError> {
        Ok(self.0.next::<Watermark>()?.map(|watermark| watermark.durable_frames))
    }
}

#[derive(Debug)]
struct Connection {
    socket: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Connection {
    fn open(store: &Path, verb: Verb) -> Result<Self, ClientError> {
        let socket = socket_path(store);
        let failed = |error: &io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ClientError::NotRunning { store: store.to_owned() }
            }
            io::ErrorKind::PermissionDenied => ClientError::Denied { socket: socket.clone() },
            _ => ClientError::Io { socket: socket.clone(), why: error.to_string() },
        };
        let stream = UnixStream::connect(&socket).map_err(|error| failed(&error))?;
        let mut request = serde_json::to_vec(&Request { verb }).map_err(|error| failed(&error.into()))?;
        request.push(b'\n');
        // A daemon that turns clients away may close before it reads; its answer is there all the same.
        let _answer_tells = (&stream).write_all(&request);
        Ok(Self { socket, stream: BufReader::new(stream) })
    }

    /// The next line; `None` at the end.
    fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        let mut line = Vec::new();
        match (&mut self.stream).take(MAX_ANSWER).read_until(b'\n', &mut line) {
            Ok(0) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(self.failed(&error)),
            Ok(_) => {}
        }
        let refusal = serde_json::from_slice::<Refusal>(&line);
        let why = match (serde_json::from_slice::<T>(&line), refusal) {
            (Ok(answer), _) => return Ok(Some(answer)),
            (Err(_), Ok(refusal)) => refusal.error,
            (Err(error), Err(_)) => format!("something that this version does not understand: {error}"),
        };
        Err(ClientError::Answer { socket: self.socket.clone(), why })
    }

    fn failed(&self, error: &io::Error) -> ClientError {
        ClientError::Io { socket: self.socket.clone(), why: error.to_string() }
    }
}

#[derive(serde::Deserialize)]
struct Refusal {
    error: String,
}
