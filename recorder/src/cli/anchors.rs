//! Whom `verify` believes outside the host: the policy, the receipts that were kept, and what witnesses say when asked.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use clap::Args;

use super::UsageError;
use crate::anchor::client::Client;
use crate::anchor::{read_policy, receipts};
use crate::chain::checkpoint::Checkpoint;
use crate::chain::key::OriginPublic;
use crate::chain::policy::Policy;
use crate::config::{Anchor, Period};
use crate::store::directory::Directory;
use crate::verify::anchor::Trust;

/// What `verify` takes about witnesses.
#[derive(Debug, Args)]
pub struct Witnesses {
    /// Whom to trust: the log's key, the witnesses, and how many are enough (C2SP tlog-policy). Only with this, kept by you
    /// and not by the host, can a check end as VERIFIED
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// A cosigned checkpoint; may be repeated. Without it, those that `recorder ship` keeps beside the store are taken
    #[arg(long, value_name = "FILE")]
    receipt: Vec<PathBuf>,
    /// Ask the witnesses for the newest checkpoints that they cosigned
    #[arg(long)]
    ask: bool,
    /// A cosignature that is older than this is STALE
    #[arg(long, value_name = "AGE", default_value = "30s", value_parser = super::verify::parse_age)]
    max_age: Period,
}

/// What was gathered.
pub struct Gathered {
    /// Policy and receipts; `None` when there is no policy anywhere.
    pub trust: Option<Trust>,
    /// The key of the log that the policy names.
    pub key: Option<OriginPublic>,
}

/// Gathers it. To be called before the store is looked at: whatever a receipt covers is in the store by then.
///
/// # Errors
/// When a file that was named can't be read, or the policy names no key that fits.
pub fn gather(store: &Path, configured: &Anchor, arguments: &Witnesses) -> Result<Gathered> {
    let given = arguments.policy.as_deref();
    let Some(file) = given.or(Anchor::set(&configured.policy)) else {
        if arguments.ask || !arguments.receipt.is_empty() {
            let what = "--ask and --receipt need a policy: give --policy FILE, or set anchor.policy";
            return Err(UsageError(what.to_owned()).into());
        }
        return Ok(Gathered { trust: None, key: None });
    };
    let policy = match (read_policy(file), given) {
        (Err(error), None) => {
            // What the host's configuration names must not keep people from checking the store.
            eprintln!("recorder: {error}; checked without witnesses");
            return Ok(Gathered { trust: None, key: None });
        }
        (policy, _) => policy?,
    };
    let origin = Directory::open(store).ok().and_then(|directory| directory.origin().ok());
    let key = given.and_then(|_| key_of(&policy, origin.as_ref()));
    let mut kept = if arguments.receipt.is_empty() {
        receipts::read_all(&configured.receipts).unwrap_or_else(|error| {
            eprintln!("recorder: {error}; its receipts are not used");
            Vec::new()
        })
    } else {
        named(&arguments.receipt)?
    };
    if arguments.ask
        && let Some(origin) = key.as_ref().or(origin.as_ref())
    {
        kept.extend(ask(&policy, origin.name(), configured)?);
    }
    let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let max_age = arguments.max_age.duration().as_secs();
    let trust = Trust { policy, policy_given: given.is_some(), receipts: kept, now, max_age };
    Ok(Gathered { trust: Some(trust), key })
}

/// The log of the policy that this store is of; if it is of none of them, the only one, which then does not fit.
fn key_of(policy: &Policy, origin: Option<&OriginPublic>) -> Option<OriginPublic> {
    let fits = policy.logs().iter().find(|key| Some(*key) == origin);
    fits.or_else(|| policy.logs().iter().find(|key| origin.is_some_and(|origin| origin.name() == key.name())))
        .or_else(|| policy.logs().first())
        .cloned()
}

fn named(files: &[PathBuf]) -> Result<Vec<Checkpoint>> {
    let read =
        |file: &PathBuf| receipts::read(file)?.with_context(|| format!("{} is not there", file.display()));
    files.iter().map(read).collect()
}

/// What each witness that has an address says now; who does not answer is told on stderr.
fn ask(policy: &Policy, origin: &str, configured: &Anchor) -> Result<Vec<Checkpoint>> {
    let timeout = configured.timeout.duration();
    let client = Client::new(Anchor::set(&configured.ca_file), timeout)?;
    let mut newest = Vec::new();
    for witness in policy.witnesses() {
        let Some(url) = &witness.url else {
            eprintln!("recorder: witness {} has no address in the policy; not asked", witness.name);
            continue;
        };
        match client.newest(url, origin) {
            Ok(Some(checkpoint)) => newest.push(checkpoint),
            Ok(None) => eprintln!("recorder: witness {} knows no checkpoint of {origin}", witness.name),
            Err(error) => eprintln!("recorder: witness {}: {error}", witness.name),
        }
    }
    Ok(newest)
}
