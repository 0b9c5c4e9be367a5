//! `recorder verify --proof FILE`: judges the proof of one event, without a store.

use std::io::Read as _;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::UsageError;
use super::output::{Fields, human};
use super::users;
use crate::chain::base64;
use crate::chain::key::OriginPublic;
use crate::event::text::printable;
use crate::exit::Exit;
use crate::store::directory::Directory;
use crate::verify::event::{EventProof, MAX_FILE, Shown};
use crate::verify::report::Verdict;

/// What was found out, for a program; the event itself is written behind it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    verdict: Verdict,
    exit_code: u8,
    /// Why it is not proven.
    reason: Option<String>,
    /// Number of the event, of its frame, and its place among the events of the frame.
    seq: Option<u64>,
    frame: Option<u64>,
    /// What it is proven against.
    origin: Option<&'a str>,
    size: Option<u64>,
    root: Option<String>,
    key: String,
    key_given: bool,
}

/// Judges the proof in a file with the key given, or else with the one beside the segments of the store.
///
/// # Errors
/// When there is no key, or the output can't be written.
pub fn run(file: &Path, given: Option<OriginPublic>, store: &Path, json: bool) -> Result<Exit> {
    let key_given = given.is_some();
    let Some(key) = given.or_else(|| Directory::open(store).ok()?.origin().ok()) else {
        let what = format!("there is no origin key in {}; name the one to trust with --key", store.display());
        return Err(UsageError(what).into());
    };
    let judged = Judged { key, key_given, outcome: judge(file) };
    let mut out = std::io::stdout().lock();
    let verdict = if json { judged.write_json(&mut out)? } else { judged.write_sentences(&mut out)? };
    Ok(Exit(verdict.exit_code()))
}

/// The proof, or why the file has none.
fn judge(file: &Path) -> Result<EventProof, String> {
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(file).and_then(|file| file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes));
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    read.map_err(|error| named(&error))?;
    EventProof::parse(&bytes).map_err(|error| named(&error))
}

struct Judged {
    key: OriginPublic,
    key_given: bool,
    outcome: Result<EventProof, String>,
}

impl Judged {
    /// The verdict, with what is shown, or with the reason why nothing is.
    fn verdict(&self) -> (Verdict, Result<(&EventProof, Shown), String>) {
        match &self.outcome {
            Err(why) => (Verdict::Incomplete, Err(why.clone())),
            Ok(proof) => match proof.verify(&self.key) {
                Ok(shown) => (Verdict::Unanchored, Ok((proof, shown))),
                Err(why) => (Verdict::Tampered, Err(why.to_string())),
            },
        }
    }

    fn write_sentences(&self, out: &mut dyn std::io::Write) -> Result<Verdict> {
        let (verdict, outcome) = self.verdict();
        let name = verdict.name();
        let (proof, shown) = match &outcome {
            Ok(found) => found,
            Err(why) if verdict == Verdict::Tampered => {
                writeln!(out, "{name}: the proof does not hold: {}.", printable(why))?;
                return Ok(verdict);
            }
            Err(why) => {
                writeln!(out, "{name}: there is no proof to check: {}.", printable(why))?;
                return Ok(verdict);
            }
        };
        writeln!(
            out,
            "{name}: the proof holds, but only the host's own key vouches for it, nobody outside."
        )?;
        let host = self.key.name().split('/').next();
        let plain = human::write(out, proof.line(), &users::names_for(host), false);
        plain.or_else(|_| writeln!(out, "The event can't be read as one of this version."))?;
        writeln!(out, "{}", printable(&String::from_utf8_lossy(proof.line())))?;
        let (checkpoint, frame) = (proof.checkpoint(), &shown.frame);
        let place = shown.seq - frame.first_seq + 1;
        writeln!(
            out,
            "Proven: it is event {}, number {place} of {} in frame {}, and that frame is in the tree of {} frames with \
             the root {} that {} signed.",
            shown.seq,
            frame.count,
            frame.frame_no,
            checkpoint.size(),
            base64::encode(checkpoint.root()),
            printable(checkpoint.origin()),
        )?;
        let key = self.key.to_string();
        let whose = if self.key_given {
            "the key you gave."
        } else {
            "the key found in the store; compare it with one you kept elsewhere (--key)."
        };
        writeln!(out, "Signed by {}, {whose}", printable(&key))?;
        Ok(verdict)
    }

    fn write_json(&self, out: &mut dyn std::io::Write) -> Result<Verdict> {
        let (verdict, outcome) = self.verdict();
        let shown = outcome.as_ref().ok();
        let checkpoint = shown.map(|(proof, _)| proof.checkpoint());
        let report = Report {
            verdict,
            exit_code: verdict.exit_code(),
            reason: outcome.as_ref().err().cloned(),
            seq: shown.map(|(_, shown)| shown.seq),
            frame: shown.map(|(_, shown)| shown.frame.frame_no),
            origin: checkpoint.map(|checkpoint| checkpoint.origin()),
            size: checkpoint.map(|checkpoint| checkpoint.size()),
            root: checkpoint.map(|checkpoint| base64::encode(checkpoint.root())),
            key: self.key.to_string(),
            key_given: self.key_given,
        };
        let text = serde_json::to_string(&report)?;
        // The event as it was signed, byte by byte; checked, so that it can't break the JSON around it.
        let line = shown.map(|(proof, _)| proof.line()).filter(|line| Fields::parse(line).is_ok());
        out.write_all(text.strip_suffix('}').unwrap_or(&text).as_bytes())?;
        out.write_all(b",\"event\":")?;
        out.write_all(line.unwrap_or(b"null"))?;
        out.write_all(b"}\n")?;
        Ok(verdict)
    }
}
