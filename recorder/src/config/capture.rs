//! Section `[capture]`: what is recorded, by which hooks, and what happens when some of it is lost.

use globset::{Glob, GlobBuilder};
use serde::{Deserialize, Serialize};

use super::{Broken, Limit, Period, Size};

/// Most environment variables that are recorded.
const MAX_NAMES: usize = 64;

/// Section `[capture]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capture {
    /// Paths whose changes are not recorded; `*` stops at `/`, `**` does not.
    pub exclude: Vec<String>,
    /// Names of environment variables that are recorded with each exec.
    pub env: Vec<String>,
    /// Ring for execs, logins and the like.
    pub ring_critical: Size,
    /// Ring for file changes.
    pub ring_files: Size,
    /// By which hooks file changes are seen.
    pub family: Family,
    /// How often every hook is made to fire, to prove that it does.
    pub canary: Limit<Period>,
    /// What happens when events are lost.
    pub on_loss: OnLoss,
    /// The command that stops the machine, when it is to be stopped.
    pub halt_command: Vec<String>,
}

/// By which hooks file changes are seen (docs/design.md, section 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// By the functions that every change passes, where the kernel allows that; system calls for the rest.
    #[default]
    Auto,
    /// By system calls alone.
    Syscall,
}

impl Family {
    /// The word of the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Syscall => "syscall",
        }
    }
}

/// What happens when evidence is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", rename_all = "lowercase")]
pub enum OnLoss {
    /// The loss is recorded, nothing else.
    Record,
    /// The loss is recorded, and the machine stopped.
    Halt,
}

impl TryFrom<String> for OnLoss {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        match word.as_str() {
            "record" => Ok(Self::Record),
            "halt" => Ok(Self::Halt),
            "throttle" => Err(
                "`throttle` can't be had: a probe may not sleep, so nothing lets a caller wait for room; \
                               use larger rings, or \"halt\""
                    .to_owned(),
            ),
            other => Err(format!("`{other}` is neither \"record\" nor \"halt\"")),
        }
    }
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            exclude: Vec::new(),
            env: Vec::new(),
            ring_critical: Size::mebibytes(4),
            ring_files: Size::mebibytes(16),
            family: Family::Auto,
            // Twice a minute: what is dead shows within one.
            canary: Limit::At(Period::seconds(30)),
            on_loss: OnLoss::Record,
            halt_command: ["systemctl", "halt", "--force"].map(str::to_owned).to_vec(),
        }
    }
}

impl Capture {
    pub(super) fn judge(&self) -> Result<(), Broken> {
        for (key, size) in
            [("capture.ring_critical", self.ring_critical), ("capture.ring_files", self.ring_files)]
        {
            size.judge(key, Size::mebibytes(1), Size::mebibytes(512))?;
            if !size.bytes().is_power_of_two() {
                return Err((key, format!("{size} is not a power of two, which the kernel wants of a ring")));
            }
        }
        if let Some(every) =
            self.canary.get().filter(|every| !every.is_within(Period::seconds(1), Period::hours(1)))
        {
            return Err(("capture.canary", format!("{every} is not between 1s and 1h")));
        }
        if self.halt_command.first().is_none_or(String::is_empty) {
            return Err(("capture.halt_command", "names no program".to_owned()));
        }
        for pattern in &self.exclude {
            glob(pattern).map_err(|error| ("capture.exclude", error.to_string()))?;
        }
        self.judge_env()
    }

    fn judge_env(&self) -> Result<(), Broken> {
        if self.env.len() > MAX_NAMES {
            return Err(("capture.env", format!("more than {MAX_NAMES} names")));
        }
        match self.env.iter().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
            Some(name) => Err(("capture.env", format!("`{name}` is not the name of a variable"))),
            None => Ok(()),
        }
    }

    /// The `exclude` patterns, compiled. [`Config::load`] has checked them.
    pub fn exclude_globs(&self) -> Result<Vec<Glob>, globset::Error> {
        self.exclude.iter().map(|pattern| glob(pattern)).collect()
    }
}

fn glob(pattern: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(pattern).literal_separator(true).build()
}
