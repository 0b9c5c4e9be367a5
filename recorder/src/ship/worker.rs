//! One witness: asks it to cosign the newest checkpoint, checks what it answers, and asks again later.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::ShipError;
use super::backoff::Backoff;
use super::log::Log;
use super::shared::Shared;
use crate::anchor::AnchorError;
use crate::anchor::client::{Client, NoReply, Reply};
use crate::chain::checkpoint::{Checkpoint, CheckpointError, WitnessPublic};

/// Requests about one checkpoint: the first, and one after each size that the witness names.
const MAX_REQUESTS: usize = 3;
/// Most lines of an answer that are looked at.
const MAX_LINES: usize = 16;
/// So far may the clocks of host and witness differ before that is said, seconds.
const SKEW: u64 = 300;

/// Why a witness did not cosign.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    NoReply(#[from] NoReply),
    #[error("it answered {status}{}: {said}", meaning(*status))]
    Refused { status: u16, said: String },
    #[error("its cosignature: {0}")]
    Cosignature(#[from] CheckpointError),
    #[error("there is no cosignature with a time by its key in its answer")]
    NoCosignature,
    #[error("it names one old size after the other")]
    Fickle,
    #[error("it has another tree of {size} frames: run `recorder verify`")]
    OtherTree { size: u64 },
    #[error(
        "it says that it cosigned {size} frames, and the checkpoint here is over {ours}; what it has is of this record, so \
         the checkpoint is to be waited for"
    )]
    Ahead { size: u64, ours: u64 },
    #[error(
        "it says that it cosigned {size} frames, more than this host ever signed for, and shows nothing that proves it"
    )]
    Unproven { size: u64 },
    #[error("this host signed another history, of {size} frames")]
    SetBack { size: u64 },
    #[error(transparent)]
    Ship(#[from] ShipError),
    #[error(transparent)]
    Receipt(#[from] AnchorError),
}

/// What the codes of the protocol mean for whoever runs the host.
const fn meaning(status: u16) -> &'static str {
    match status {
        400 => " (it does not understand the request)",
        403 => " (it knows this host with another key)",
        404 => " (it does not know this host; `recorder witness add` on it)",
        422 => " (it has another history of this host: run `recorder verify`)",
        _ => "",
    }
}

/// Asks one witness.
#[derive(Debug)]
pub(super) struct Worker {
    place: usize,
    client: Client,
    log: Log,
    shared: Arc<Shared>,
    once: bool,
}

impl Worker {
    pub(super) fn new(place: usize, client: Client, log: Log, shared: Arc<Shared>, once: bool) -> Self {
        Self { place, client, log, shared, once }
    }

    /// Asks for each checkpoint in turn, until the process ends, or the host is found to be set back.
    pub(super) fn run(&self) {
        let mut backoff = Backoff::default();
        let mut done = None;
        loop {
            let newest = self.shared.next(done.as_ref());
            let wait = match self.anchor(&newest) {
                Ok(()) => {
                    backoff.reset();
                    done = Some(newest);
                    None
                }
                Err(failure) => {
                    self.shared.failed(self.place, &failure.to_string());
                    if let Failure::SetBack { size } = failure {
                        return self.set_back(size);
                    }
                    Some(backoff.after_failure())
                }
            };
            if self.once {
                return self.shared.through();
            }
            wait.into_iter().for_each(std::thread::sleep);
        }
    }

    /// The one thing that is not tried again: going on would help whoever set the host back to hide it.
    fn set_back(&self, size: u64) {
        tracing::error!(
            frames = size,
            origin = self.log.key().name(),
            "this host was set back, or runs twice: a witness has a longer history that it signed. Nothing more is sent to that \
             witness. Keep this store, run `recorder verify`, and begin a new record under a new key (move store and state away)"
        );
        self.shared.through();
    }

    fn witness(&self) -> Option<(&WitnessPublic, &str)> {
        let witness = self.shared.policy().witnesses().get(self.place)?;
        Some((&witness.key, witness.url.as_deref()?))
    }

    fn anchor(&self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        // Witnesses without an address were refused at the start.
        let Some((witness, url)) = self.witness() else { return Ok(()) };
        let known = self.known(witness)?;
        let remembered = known.as_ref().map_or(0, Checkpoint::size);
        if let Some(known) = known.filter(|known| known.size() > checkpoint.size()) {
            return Err(self.judge_longer(Some(&known), known.size(), checkpoint)?);
        }
        let mut old = remembered;
        for _ in 0..MAX_REQUESTS {
            let request = self.log.request(old, checkpoint)?;
            match self.client.add_checkpoint(url, &request)? {
                Reply::Cosigned(lines) => return self.accept(witness, checkpoint, &lines),
                Reply::Conflict(size) if size > checkpoint.size() => {
                    let shown = self.client.newest(url, self.log.key().name()).ok().flatten();
                    return Err(self.judge_longer(shown.as_ref(), size, checkpoint)?);
                }
                // What the first version of the protocol answers for what is 422 since.
                Reply::Conflict(size) if size == old => return Err(Failure::OtherTree { size }),
                Reply::Conflict(size) => {
                    if size < remembered {
                        self.forgot(size, remembered);
                    }
                    old = size;
                }
                Reply::Refused { status, said } => return Err(Failure::Refused { status, said }),
            }
        }
        Err(Failure::Fickle)
    }

    /// What this witness cosigned last, unless somebody changed the file.
    fn known(&self, witness: &WitnessPublic) -> Result<Option<Checkpoint>, AnchorError> {
        let known = self.shared.receipts().of(witness)?;
        let holds = |known: &Checkpoint| {
            known.verify(self.log.key()).is_ok() && matches!(known.cosigned_by(witness), Ok(Some(_)))
        };
        Ok(known.filter(holds))
    }

    /// A witness that remembers less than it cosigned can be told another history: whoever counts on it must know.
    fn forgot(&self, size: u64, remembered: u64) {
        let witness = self.shared.policy().witnesses().get(self.place).map_or("", |witness| &witness.name);
        tracing::error!(
            witness,
            remembers = size,
            cosigned = remembered,
            "a witness remembers less than it cosigned: it was restored from an old backup, or lies; replace it"
        );
    }

    fn accept(&self, witness: &WitnessPublic, asked: &Checkpoint, lines: &str) -> Result<(), Failure> {
        let bare = asked.bare(self.log.key());
        for line in lines.lines().take(MAX_LINES) {
            let mut cosigned = bare.clone();
            // Lines that are none, or by other keys, say nothing.
            if cosigned.add(line).is_err() {
                continue;
            }
            let Some(time) = cosigned.cosigned_by(witness)? else { continue };
            let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO).as_secs();
            if now.abs_diff(time) > SKEW {
                let name = witness.name();
                tracing::warn!(witness = name, seconds = now.abs_diff(time), "its clock differs from ours");
            }
            self.shared.receipts().keep(witness, &cosigned)?;
            self.shared.cosigned(self.place, &bare, line);
            return Ok(());
        }
        Err(Failure::NoCosignature)
    }

    /// A witness knows more frames than the newest checkpoint here covers. That is no harm when they are in the store: after
    /// a power cut the file of the checkpoint can be older than what was sent. If the origin signed what is not in the store,
    /// the store was set back, or is one of two.
    fn judge_longer(
        &self,
        shown: Option<&Checkpoint>,
        size: u64,
        ours: &Checkpoint,
    ) -> Result<Failure, Failure> {
        let signed = shown.filter(|shown| shown.size() > ours.size() && shown.verify(self.log.key()).is_ok());
        let Some(signed) = signed else { return Ok(Failure::Unproven { size }) };
        if self.log.has(signed.size(), signed.root())? {
            return Ok(Failure::Ahead { size, ours: ours.size() });
        }
        if let Some((witness, _)) = self.witness() {
            self.shared.receipts().keep_evidence(witness, signed)?;
        }
        Ok(Failure::SetBack { size: signed.size() })
    }
}
