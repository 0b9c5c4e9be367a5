//! `recorder ship`: follows the record read-only and has its checkpoints cosigned by witnesses outside the host.
//!
//! No privilege, one thread a witness, nothing that the recording waits for. Only the newest checkpoint counts: after a week
//! without any witness the next answer anchors everything.
#![forbid(unsafe_code)]

mod backoff;
mod log;
mod shared;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use crate::anchor::client::Client;
use crate::anchor::receipts::Receipts;
use crate::anchor::{AnchorError, read_policy};
use crate::chain::checkpoint::{Checkpoint, CheckpointError};
use crate::chain::policy::Policy;
use crate::store::StoreError;
use log::Log;
use shared::{Lag, Shared};
use worker::Worker;

/// How often it is looked whether there is a new checkpoint: part of the second in which an urgent one is to be anchored.
const LOOK: Duration = Duration::from_millis(200);

/// What to ship, and where to.
#[derive(Clone, Debug)]
pub struct Options {
    /// The store.
    pub store: PathBuf,
    /// Where its recorder keeps the newest checkpoint.
    pub state_dir: PathBuf,
    /// Where receipts are kept.
    pub receipts: PathBuf,
    /// The policy: witnesses with their addresses, and how many are enough.
    pub policy: PathBuf,
    /// Certificate authorities to trust instead of those of the web.
    pub ca_file: Option<PathBuf>,
    /// How long a witness may take.
    pub timeout: Duration,
    /// Anchor the newest checkpoint once and end.
    pub once: bool,
}

/// What can go wrong before, or beside, the asking of witnesses.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    /// Policy, receipts, certificates.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The policy does not fit.
    #[error("{policy}: {what}", policy = policy.display())]
    Policy {
        /// The file.
        policy: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A checkpoint that the origin did not sign.
    #[error("{path}: {source}; run `recorder verify`", path = path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: CheckpointError,
    },
    /// The store is not what the host signed.
    #[error("{store}: its {size} frames do not give the tree that this host signed; run `recorder verify`", store = store.display())]
    Tree {
        /// The store.
        store: PathBuf,
        /// Frames of the checkpoint.
        size: u64,
    },
    /// No thread.
    #[error("starting a thread failed: {0}")]
    Thread(std::io::Error),
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Stopped; or, asked to anchor once, anchored.
    Done,
    /// Asked to anchor once, and too few witnesses cosigned, or there is nothing to anchor.
    NotAnchored,
}

/// Ships until `stop`, or once.
///
/// # Errors
/// When it can't begin; later failures are logged, and tried again.
pub fn run(options: &Options, stop: &AtomicBool) -> Result<Ended, ShipError> {
    let policy = Arc::new(read_policy(&options.policy)?);
    let log = Log::open(&options.store, &options.state_dir)?;
    check(&policy, &log).map_err(|what| ShipError::Policy { policy: options.policy.clone(), what })?;
    let client = Client::new(options.ca_file.as_deref(), options.timeout)?;
    let receipts = Receipts::open(&options.receipts)?;
    let shared = Arc::new(Shared::new(Arc::clone(&policy), receipts));
    for place in 0..policy.witnesses().len() {
        let worker = Worker::new(place, client.clone(), log.clone(), Arc::clone(&shared), options.once);
        let started = std::thread::Builder::new().name("witness".to_owned()).spawn(move || worker.run());
        started.map_err(ShipError::Thread)?;
    }
    let witnesses = policy.witnesses().len();
    tracing::info!(store = %options.store.display(), witnesses, "shipping");
    if options.once { once(&log, &shared) } else { follow(&log, &shared, stop) }
}

/// That each witness can be asked, and that the policy is not that of another host.
fn check(policy: &Policy, log: &Log) -> Result<(), String> {
    if !policy.asks_for_witnesses() {
        return Err("its quorum is `none`, so nothing would be anchored".to_owned());
    }
    if !policy.logs().is_empty() && policy.logs().iter().all(|known| known != log.key()) {
        return Err(format!("it names other logs than this host's, which is {}", log.key()));
    }
    let without = policy.witnesses().iter().find(|witness| witness.url.is_none());
    without.map_or(Ok(()), |witness| Err(format!("witness {} has no address", witness.name)))
}

fn once(log: &Log, shared: &Shared) -> Result<Ended, ShipError> {
    let Some(newest) = log.newest()? else {
        tracing::warn!("there is no checkpoint yet: nothing was recorded");
        return Ok(Ended::NotAnchored);
    };
    shared.offer(newest);
    Ok(if shared.wait_for_all() { Ended::Done } else { Ended::NotAnchored })
}

fn follow(log: &Log, shared: &Shared, stop: &AtomicBool) -> Result<Ended, ShipError> {
    let mut lag = Lag::default();
    let mut before: Option<Checkpoint> = None;
    let mut trouble = None;
    while !stop.load(SeqCst) {
        let looked = log.newest_if_changed(before.as_ref()).map_err(|error| error.to_string());
        match looked {
            Ok(Some(newest)) => {
                before = Some(newest.clone());
                shared.offer(newest);
                trouble = None;
            }
            Ok(None) => trouble = None,
            // Said once, not five times a second.
            Err(error) if trouble.as_ref() == Some(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no checkpoint to anchor");
                trouble = Some(error);
            }
        }
        shared.tell(&mut lag);
        std::thread::sleep(LOOK);
    }
    // A request that is under way changes nothing here but a file that is replaced as a whole.
    tracing::info!("stopped");
    Ok(Ended::Done)
}
