//! Where each program is attached, which kinds it serves, and what the recorder is without it.

use recorder_common::kind::Kind;
use recorder_common::sample::pam;

use super::syscalls::CALLS;

/// A place in the kernel or in a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `tp_btf` of this name.
    Btf(&'static str),
    /// `syscalls:NAME`.
    Tracepoint(String),
    /// Function of libpam, the cookie that tells it, and whether at its return.
    Pam {
        /// Function.
        symbol: &'static str,
        /// [`pam`] call.
        cookie: u64,
        /// At its return.
        at_return: bool,
    },
}

/// One attachment.
#[derive(Clone, Debug)]
pub struct Hook {
    /// Program in the object.
    pub program: &'static str,
    /// Where it is attached.
    pub place: Place,
    /// The kind of event it mainly serves.
    pub kind: Kind,
}

impl Hook {
    /// The hook as people write it.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.place {
            Place::Btf(name) => format!("tp_btf/{name}"),
            Place::Tracepoint(name) => format!("tracepoint/syscalls/{name}"),
            Place::Pam { symbol, at_return: false, .. } => format!("uprobe/libpam:{symbol}"),
            Place::Pam { symbol, at_return: true, .. } => format!("uretprobe/libpam:{symbol}"),
        }
    }

    /// Recording without this hook would be no record at all.
    #[must_use]
    pub fn is_essential(&self) -> bool {
        matches!(self.kind, Kind::Fork | Kind::Exec | Kind::Exit)
    }
}

/// libpam functions: name, call, whether reported at entry (otherwise at return).
pub const PAM: &[(&str, u64, bool, Kind)] = &[
    ("pam_start", pam::START, false, Kind::Login),
    ("pam_set_item", pam::SET_ITEM, true, Kind::Login),
    ("pam_get_user", pam::GET_USER, false, Kind::Login),
    ("pam_authenticate", pam::AUTHENTICATE, false, Kind::AuthOk),
    ("pam_acct_mgmt", pam::ACCT_MGMT, false, Kind::AuthFailed),
    ("pam_open_session", pam::OPEN_SESSION, false, Kind::Login),
    ("pam_close_session", pam::CLOSE_SESSION, false, Kind::Logout),
    ("pam_end", pam::END, true, Kind::Logout),
];

/// io_uring: completions first, so that no request is taken up whose completion goes by. Its submission was called
/// `io_uring_submit_sqe` before Linux 6.4.
const URING: [(&str, &str); 5] = [
    ("uring_complete", "io_uring_complete"),
    ("uring_overflow", "io_uring_cqe_overflow"),
    ("uring_refused", "io_uring_req_failed"),
    ("uring_submit", "io_uring_submit_req"),
    ("uring_submit", "io_uring_submit_sqe"),
];

/// Every attachment, in the order in which they are made: exec first, so that no process is unknown for long.
#[must_use]
pub fn hooks() -> Vec<Hook> {
    let mut hooks = vec![
        Hook { program: "process_fork", place: Place::Btf("sched_process_fork"), kind: Kind::Fork },
        Hook { program: "process_exec", place: Place::Btf("sched_process_exec"), kind: Kind::Exec },
        Hook {
            program: "process_prepare_exec",
            place: Place::Btf("sched_prepare_exec"),
            kind: Kind::FileWrite,
        },
        Hook { program: "process_exit", place: Place::Btf("sched_process_exit"), kind: Kind::Exit },
        Hook { program: "module_load", place: Place::Btf("module_load"), kind: Kind::Module },
    ];
    for (program, name) in URING {
        hooks.push(Hook { program, place: Place::Btf(name), kind: Kind::FileWrite });
    }
    for call in CALLS {
        let Ok(kind) = Kind::try_from(call.spec.kind) else { continue };
        for program in call.before.into_iter().chain([call.program]) {
            let side = if program.ends_with("_enter") { "enter" } else { "exit" };
            let place = Place::Tracepoint(format!("sys_{side}_{}", call.tracepoint));
            hooks.push(Hook { program, place, kind });
        }
    }
    for &(symbol, cookie, only_entry, kind) in PAM {
        let place = Place::Pam { symbol, cookie, at_return: false };
        hooks.push(Hook { program: "pam_enter", place, kind });
        if !only_entry {
            let place = Place::Pam { symbol, cookie, at_return: true };
            hooks.push(Hook { program: "pam_return", place, kind });
        }
    }
    hooks
}
