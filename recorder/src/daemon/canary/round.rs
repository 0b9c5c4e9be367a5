//! One round: counts, makes everything fire, counts again, and compares with the rounds before.

use std::path::Path;

use super::super::attacher::Attacher;
use super::child::{self, Outcome};
use super::{Report, State};
use crate::capture::CaptureError;
use crate::capture::canary::Library;
use crate::capture::canary::{Canary, Watched, Way};
use crate::capture::ring::boot_ns;

/// A kernel skips a program that interrupts another one; so a hook is silent when it was so many times in a row.
const ATTEMPTS: usize = 3;

/// Every hook of the library together.
const LIBRARY: &str = "libpam";

/// What is known of a hook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    /// When it was last seen to fire, boot-clock ns.
    seen: Option<u64>,
    /// Since when it is known to be dead, boot-clock ns.
    dead_since: Option<u64>,
}

/// The rounds of a canary.
pub struct Rounds {
    canary: Canary,
    attacher: Option<Attacher>,
    known: Vec<Known>,
    /// When the library was last known to have its probes, boot-clock ns.
    library_seen: Option<u64>,
    /// The file that could not have probes; said once.
    refused: Option<Library>,
    /// No process could be started; said once.
    is_childless: bool,
}

impl Rounds {
    /// Before the first round.
    pub fn new(canary: Canary, attacher: Option<Attacher>) -> Self {
        let known = vec![Known::default(); canary.hooks().len()];
        Self { canary, attacher, known, library_seen: None, refused: None, is_childless: false }
    }

    /// Makes every hook fire; `program` is this recorder. Returns what changed.
    pub fn next(&mut self, program: &Path) -> Result<Vec<Report>, CaptureError> {
        let mut moved = self.follow_library();
        let before = self.canary.counts()?;
        let mut fired = vec![false; before.len()];
        let mut outcome = Outcome::NotStarted;
        for _ in 0..ATTEMPTS {
            self.canary.call();
            outcome = self.send_child(program);
            let after = self.canary.counts()?;
            fired = before.iter().zip(&after).map(|(before, after)| before != after).collect();
            if self.silent(&fired, outcome).next().is_none() {
                break;
            }
        }
        moved.extend(self.judge(&fired, outcome));
        Ok(moved)
    }

    /// Has probes put into a library that was replaced. What was missed until then is told as a hook that was dead.
    fn follow_library(&mut self) -> Vec<Report> {
        let now = boot_ns();
        let seen = self.library_seen.replace(now);
        let Some((new, programs)) = self.canary.replacement() else { return Vec::new() };
        let path = new.path.display().to_string();
        if let Some(programs) = programs {
            let attached = match &mut self.attacher {
                Some(attacher) => attacher.attach(programs),
                None => Err("there is no helper to attach probes".to_owned()),
            };
            if let Err(why) = attached {
                if self.refused.as_ref() != Some(&new) {
                    tracing::error!(path, why, "libpam was replaced, and the new file can't have probes");
                }
                self.refused = Some(new);
                return Vec::new();
            }
        }
        self.canary.set_library(new);
        tracing::warn!(path, "libpam was replaced; the new file has its probes");
        let why = format!("{path} was replaced; the new file has its probes from now on");
        let report = |state| Report { hook: LIBRARY.to_owned(), event: "login", state };
        let dead_since = seen.unwrap_or(now);
        vec![report(State::Dead { why, seen }), report(State::Back { dead_since })]
    }

    /// Ends the helper.
    pub fn stop(self) {
        if let Some(attacher) = self.attacher {
            attacher.stop();
        }
    }

    fn send_child(&mut self, program: &Path) -> Outcome {
        let library = self.canary.library().map(|library| library.path.as_path());
        let outcome = child::send(program, library);
        match &outcome {
            Err(error) if !self.is_childless => {
                tracing::error!(%error, "the canary can't start a process: hooks of processes and logins are not proven");
            }
            _ => {}
        }
        self.is_childless = outcome.is_err();
        outcome.unwrap_or(Outcome::NotStarted)
    }

    /// Hooks that should have fired and did not.
    fn silent(&self, fired: &[bool], outcome: Outcome) -> impl Iterator<Item = usize> {
        let hooks = self.canary.hooks().iter().zip(fired).enumerate();
        hooks
            .filter(move |(_, (hook, fired))| !**fired && was_made_to_fire(hook, outcome))
            .map(|(index, _)| index)
    }

    fn judge(&mut self, fired: &[bool], outcome: Outcome) -> Vec<Report> {
        let now = boot_ns();
        let silent: Vec<_> = self.silent(fired, outcome).collect();
        let mut reports = Vec::new();
        for (index, (hook, known)) in self.canary.hooks().iter().zip(&mut self.known).enumerate() {
            let has_fired = fired.get(index).copied().unwrap_or(false);
            let state = match (has_fired, known.dead_since) {
                (true, dead_since) => {
                    *known = Known { seen: Some(now), dead_since: None };
                    dead_since.map(|dead_since| State::Back { dead_since })
                }
                (false, None) if silent.contains(&index) => {
                    known.dead_since = Some(now);
                    Some(State::Dead { why: why(&self.canary, hook, outcome), seen: known.seen })
                }
                _ => None,
            };
            reports.extend(state.map(|state| Report { hook: hook.name.clone(), event: hook.event, state }));
        }
        reports
    }
}

fn was_made_to_fire(hook: &Watched, outcome: Outcome) -> bool {
    match hook.way {
        Way::Call { .. } => true,
        Way::Process | Way::Library => outcome != Outcome::NotStarted,
    }
}

fn why(canary: &Canary, hook: &Watched, outcome: Outcome) -> String {
    let library = canary.library().filter(|_| hook.way == Way::Library);
    match library {
        Some(library) if library.is_replaced() => format!(
            "{} was replaced: programs that load the new file are not seen; restart the recorder",
            library.path.display()
        ),
        Some(library) if outcome == Outcome::Failed => {
            format!("{} can't be loaded or called", library.path.display())
        }
        _ => "it did not fire when it had to: its probe was taken away, or the kernel runs it no more; restart the \
              recorder"
            .to_owned(),
    }
}
