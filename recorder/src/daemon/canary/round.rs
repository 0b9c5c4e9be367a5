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

/// Why a hook never fired where system calls are filtered. Once it has, its silence is its death.
const FILTERED: &str = "the filter of system calls over the recorder does not let its call through";

/// Every hook of the library together.
const LIBRARY: &str = "libpam";

/// What is known of a hook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    /// When it was last seen to fire, boot-clock ns.
    seen: Option<u64>,
    /// Since when it is known to be dead, boot-clock ns.
    dead_since: Option<u64>,
    /// It was told that nothing proves it.
    unproven: bool,
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
    /// A call was refused that is not for the canary's arguments; said once.
    is_refused: bool,
    /// A filter of system calls lies over this process: what it takes away does not get to every hook.
    is_filtered: bool,
}

impl Rounds {
    /// Before the first round.
    pub fn new(canary: Canary, attacher: Option<Attacher>) -> Self {
        let known = vec![Known::default(); canary.hooks().len()];
        let (library_seen, refused) = (None, None);
        let (is_childless, is_refused, is_filtered) = (false, false, is_filtered());
        Self { canary, attacher, known, library_seen, refused, is_childless, is_refused, is_filtered }
    }

    /// Makes every hook fire; `program` is this recorder. Returns what changed.
    pub fn next(&mut self, program: &Path) -> Result<Vec<Report>, CaptureError> {
        let mut moved = self.follow_library();
        let before = self.canary.counts()?;
        let mut fired = vec![false; before.len()];
        let mut outcome = Outcome::NotStarted;
        for _ in 0..ATTEMPTS {
            self.call();
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

    fn call(&mut self) {
        let outcome = self.canary.call();
        if let Err(error) = outcome.as_ref()
            && !self.is_refused
        {
            tracing::error!(%error, "the canary can't make every hook fire");
        }
        self.is_refused = outcome.is_err();
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
        let hooks = self.canary.hooks().iter().zip(&self.known).zip(fired).enumerate();
        hooks
            .filter(move |(_, ((hook, known), fired))| {
                !**fired && !known.unproven && was_made_to_fire(hook, outcome)
            })
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
                    *known = Known { seen: Some(now), ..Known::default() };
                    dead_since.map(|dead_since| State::Back { dead_since })
                }
                (false, None) if self.is_filtered && known.seen.is_none() => {
                    let is_told = std::mem::replace(&mut known.unproven, true);
                    (!is_told).then(|| State::Unproven { why: FILTERED.to_owned() })
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

/// Whether a filter of system calls lies over this process.
fn is_filtered() -> bool {
    // seccomp(2): 2 is a filter. Where that can't be read there is no reason to doubt a hook that is silent.
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"))
}

fn was_made_to_fire(hook: &Watched, outcome: Outcome) -> bool {
    match hook.way {
        Way::Call { .. } | Way::Deed(_) | Way::LetGo | Way::Ring => true,
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
