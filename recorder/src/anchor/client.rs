//! Asks a witness over HTTP (C2SP tlog-witness): one request, one answer, nothing believed.

use std::path::Path;
use std::time::Duration;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::AnchorError;
use crate::chain::add_checkpoint::AddCheckpoint;
use crate::chain::checkpoint::{Checkpoint, CheckpointError};
use crate::chain::note::MAX_NOTE;
use crate::chain::{hex, sha256};

/// Longest answer that is read.
const MAX_ANSWER: u64 = MAX_NOTE as u64;
/// Longest file with certificates that is read.
const MAX_CERTIFICATES: u64 = 1 << 20;
/// So much of what a witness says is shown.
const SHOWN: usize = 200;

/// What a witness answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// 200: lines of signatures, not checked yet.
    Cosigned(String),
    /// 409: the size of the tree that it cosigned last.
    Conflict(u64),
    /// Anything else.
    Refused {
        /// The status code.
        status: u16,
        /// What it said, cut short.
        said: String,
    },
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoReply {
    /// No connection, no TLS, no time.
    #[error("{0}")]
    Unreachable(Box<ureq::Error>),
    /// A checkpoint that is none.
    #[error("its answer is not a checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// 409 without a size.
    #[error("it answered 409 without the size that it knows")]
    NoSize,
    /// A status that says nothing.
    #[error("it answered {0}")]
    Status(u16),
}

impl From<ureq::Error> for NoReply {
    fn from(error: ureq::Error) -> Self {
        Self::Unreachable(Box::new(error))
    }
}

/// A client for all witnesses of a policy. Proxies are those of the environment (`HTTPS_PROXY`).
#[derive(Clone, Debug)]
pub struct Client {
    agent: ureq::Agent,
}

impl Client {
    /// A client that gives up after `timeout`, and trusts the authorities in `ca_file`, or else those of the web.
    ///
    /// # Errors
    /// When the file has no certificate.
    pub fn new(ca_file: Option<&Path>, timeout: Duration) -> Result<Self, AnchorError> {
        let roots = ca_file.map_or(Ok(RootCerts::WebPki), read_authorities)?;
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            // Nobody else is to answer for a witness.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A connection is older than its server's patience by the next checkpoint.
            .max_idle_connections(0)
            .user_agent(concat!("recorder/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build();
        Ok(Self { agent: ureq::Agent::new_with_config(config) })
    }

    /// Asks the witness at `url` to cosign.
    ///
    /// # Errors
    /// When there is no answer that makes sense.
    pub fn add_checkpoint(&self, url: &str, request: &AddCheckpoint) -> Result<Reply, NoReply> {
        let text = request.to_string();
        let mut answer = self
            .agent
            .post(format!("{url}/add-checkpoint"))
            .header("Content-Type", "text/plain; charset=utf-8")
            .send(text.as_bytes())?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_string()?;
        match status {
            200 => Ok(Reply::Cosigned(body)),
            409 => {
                let size = body.strip_suffix('\n').unwrap_or(&body).parse();
                size.map(Reply::Conflict).map_err(|_| NoReply::NoSize)
            }
            _ => Ok(Reply::Refused { status, said: body.trim_end().chars().take(SHOWN).collect() }),
        }
    }

    /// The newest checkpoint of the log that the witness at `url` cosigned; `None` when it knows none. The address is the
    /// one that our own witness, and others, have for it.
    ///
    /// # Errors
    /// When there is no answer that makes sense.
    pub fn newest(&self, url: &str, origin: &str) -> Result<Option<Checkpoint>, NoReply> {
        let address = format!("{url}/{}/checkpoint", hex(&sha256(origin.as_bytes())));
        let mut answer = self.agent.get(address).call()?;
        match answer.status().as_u16() {
            200 => {
                let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec()?;
                Ok(Some(Checkpoint::parse(&body)?))
            }
            404 => Ok(None),
            status => Err(NoReply::Status(status)),
        }
    }
}

fn read_authorities(path: &Path) -> Result<RootCerts, AnchorError> {
    use std::io::Read as _;
    let mut pem = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_CERTIFICATES).read_to_end(&mut pem))
        .map_err(AnchorError::io(path, "reading the certificates"))?;
    let wrong = |what: String| AnchorError::Authority { path: path.to_owned(), what };
    let mut certificates: Vec<Certificate<'static>> = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| wrong(error.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(wrong("there is no certificate in it".to_owned()));
    }
    Ok(RootCerts::from(certificates))
}
