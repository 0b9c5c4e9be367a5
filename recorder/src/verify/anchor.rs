//! What witnesses outside the host say of the log: how much of it they vouch for, and how fresh that is. No clock and no
//! network: whoever asks brings the time and the receipts.

use serde::Serialize;

use super::VerifyOptions;
use super::finding::{Finding, Kind};
use crate::chain::checkpoint::Checkpoint;
use crate::chain::key::OriginPublic;
use crate::chain::policy::Policy;

/// So far may a cosignature be in the future, seconds: clocks differ.
const SKEW: u64 = 300;

/// Whom to believe, and what they said.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The witnesses, and how many are enough.
    pub policy: Policy,
    /// Whether the policy came from whoever verifies, and not from the host.
    pub policy_given: bool,
    /// Cosigned checkpoints, from wherever; nothing in them is checked yet.
    pub receipts: Vec<Checkpoint>,
    /// The time, seconds since 1970.
    pub now: u64,
    /// A cosignature that is older is not fresh, seconds.
    pub max_age: u64,
}

/// How much of the log is anchored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Anchored {
    /// Frames that enough witnesses vouch for.
    pub frames: u64,
    /// When the newest of enough witnesses cosigned, seconds since 1970.
    pub time: u64,
    /// How long ago that is, seconds.
    pub age: u64,
    /// Whether that is not too long ago.
    pub fresh: bool,
    /// Whether policy and origin key came from outside: what the host says of itself proves nothing.
    pub trusted: bool,
    /// Names of the witnesses that vouch for that much.
    pub witnesses: Vec<String>,
}

/// The largest tree that a witness cosigned, and when it did last.
#[derive(Clone, Copy, Default)]
struct Said {
    size: Option<u64>,
    time: Option<u64>,
}

/// The receipts that the origin signed; the others are told and say nothing.
pub(super) fn signed<'a>(
    trust: Option<&'a Trust>,
    key: Option<&OriginPublic>,
    findings: &mut Vec<Finding>,
) -> Vec<&'a Checkpoint> {
    let (Some(trust), Some(key)) = (trust, key) else { return Vec::new() };
    let mut signed = Vec::new();
    for receipt in &trust.receipts {
        match receipt.verify(key) {
            Ok(()) => signed.push(receipt),
            Err(why) => {
                let size = receipt.size();
                let sentence = format!("a receipt over {size} frames is none of this log: {why}");
                findings.push(Finding::new(Kind::ReceiptWrong, sentence));
            }
        }
    }
    signed
}

/// What the witnesses vouch for, among the receipts that the log agrees with.
pub(super) fn judge(
    options: &VerifyOptions,
    compared: &[(&Checkpoint, bool)],
    findings: &mut Vec<Finding>,
) -> Option<Anchored> {
    let trust = options.trust.as_ref().filter(|trust| trust.policy.asks_for_witnesses())?;
    let agreed: Vec<&Checkpoint> =
        compared.iter().filter(|(_, holds)| *holds).map(|(said, _)| *said).collect();
    let said = said(trust, &agreed, findings);
    let reached = |least: u64, of: fn(&Said) -> Option<u64>| {
        trust.policy.is_met(|place| said.get(place).and_then(of).is_some_and(|value| value >= least))
    };
    let most =
        |of: fn(&Said) -> Option<u64>| said.iter().filter_map(of).filter(|value| reached(*value, of)).max();
    let (frames, time) = (most(|said| said.size)?, most(|said| said.time)?);
    let vouches = |(witness, said): (&crate::chain::policy::PolicyWitness, &Said)| {
        said.size.is_some_and(|size| size >= frames).then(|| witness.name.clone())
    };
    let age = trust.now.saturating_sub(time);
    Some(Anchored {
        frames,
        time,
        age,
        fresh: age <= trust.max_age,
        trusted: trust.policy_given && options.key.is_some(),
        witnesses: trust.policy.witnesses().iter().zip(&said).filter_map(vouches).collect(),
    })
}

/// Of each witness of the policy, what it said.
fn said(trust: &Trust, agreed: &[&Checkpoint], findings: &mut Vec<Finding>) -> Vec<Said> {
    let of = |witness: &crate::chain::policy::PolicyWitness| {
        let mut said = Said::default();
        for receipt in agreed {
            let size = receipt.size();
            let mut find = |what: String| findings.push(Finding::new(Kind::ReceiptWrong, what));
            match receipt.cosigned_by(&witness.key) {
                Ok(Some(time)) if time > trust.now.saturating_add(SKEW) => {
                    find(format!(
                        "witness {} cosigned {size} frames in the future: a clock is wrong",
                        witness.name
                    ));
                    said.size = said.size.max(Some(size));
                }
                Ok(Some(time)) => {
                    said.size = said.size.max(Some(size));
                    said.time = said.time.max(Some(time));
                }
                Ok(None) => {}
                Err(why) => {
                    find(format!("the cosignature of witness {} over {size} frames: {why}", witness.name));
                }
            }
        }
        said
    };
    trust.policy.witnesses().iter().map(of).collect()
}
