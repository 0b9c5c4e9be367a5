//! Names of signals, as `signal` of an exit shows them.

use std::borrow::Cow;

/// Names from 1 on. x86-64 and arm64 agree on them.
const NAMES: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// Where the C library's real-time signals begin; the two below are its own.
const RTMIN: u8 = 34;

/// The name of a signal; `None` for 0, which is no signal.
#[must_use]
pub fn name(signal: u8) -> Option<Cow<'static, str>> {
    let index = usize::from(signal.checked_sub(1)?);
    Some(match NAMES.get(index) {
        Some(name) => Cow::Borrowed(name),
        None if signal == RTMIN => Cow::Borrowed("SIGRTMIN"),
        None if signal > RTMIN => Cow::Owned(format!("SIGRTMIN+{}", signal - RTMIN)),
        None => Cow::Owned(format!("SIG{signal}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_their_usual_names() {
        let names = [0, 9, 15, 31, 32, 34, 64].map(|signal| name(signal).unwrap_or_default());
        assert_eq!(names, ["", "SIGKILL", "SIGTERM", "SIGSYS", "SIG32", "SIGRTMIN", "SIGRTMIN+30"]);
    }
}
