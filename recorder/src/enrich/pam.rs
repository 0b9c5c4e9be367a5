//! Logins from calls into libpam. A login is told by several calls, often of several processes: sshd starts in one,
//! authenticates in a child, and opens the session in the first again. What each call says is kept per handle.

use std::borrow::Cow;
use std::collections::BTreeMap;

use recorder_common::sample::pam::{ITEM_RHOST, ITEM_TTY, ITEM_USER};

use crate::event::decode::{PamCall, PamFunction};
use crate::event::{Body, Event, Kind, Login};

/// Most handles remembered; the one untouched for longest goes first.
const CAPACITY: usize = 4096;
/// Longest text kept of one item.
const TEXT_MAX: usize = 4096;

const EACCES: i32 = 13;
const PAM_SUCCESS: i32 = 0;
/// The password must be changed first; the login goes on.
const PAM_NEW_AUTHTOK_REQD: i32 = 12;
/// No decision.
const PAM_IGNORE: i32 = 25;
/// The application asks again: `PAM_CONV_AGAIN`, `PAM_INCOMPLETE`.
const UNDECIDED: [i32; 2] = [30, 31];

/// A process and the address of a handle in it.
type Handle = (u32, u64);

/// What is known of one transaction.
#[derive(Clone, Debug, Default)]
struct Transaction {
    service: Option<Vec<u8>>,
    user: Option<Vec<u8>>,
    rhost: Option<Vec<u8>>,
    tty: Option<Vec<u8>>,
    touched: u64,
}

/// Every PAM transaction under way.
#[derive(Clone, Debug, Default)]
pub struct PamTable {
    transactions: BTreeMap<Handle, Transaction>,
}

impl PamTable {
    /// Takes a call; the event is what the call decided, if it did.
    pub fn call<'a>(&mut self, call: PamCall<'a>) -> Option<Event<'a>> {
        match call.function {
            PamFunction::Start => {
                self.start(&call);
                None
            }
            PamFunction::SetItem(item) => {
                self.set_item(&call, item);
                None
            }
            PamFunction::GetUser => {
                if let Some(user) = call.user.and_then(text) {
                    self.transaction(&call).user = Some(user);
                }
                None
            }
            PamFunction::End => {
                // A forked child ends only its own copy.
                self.transactions.remove(&(call.task.pid, call.handle));
                None
            }
            PamFunction::Authenticate
            | PamFunction::AcctMgmt
            | PamFunction::OpenSession
            | PamFunction::CloseSession => {
                let kind = decided(call.function, call.result)?;
                let login = self.login(&call);
                Some(event(call, kind, login))
            }
        }
    }

    /// Forgets the transactions of a process that ended.
    pub fn exit(&mut self, pid: u32) {
        while let Some(handle) =
            self.transactions.range((pid, 0)..=(pid, u64::MAX)).next().map(|(key, _)| *key)
        {
            self.transactions.remove(&handle);
        }
    }

    fn start(&mut self, call: &PamCall<'_>) {
        if call.result == PAM_SUCCESS {
            let transaction = Transaction {
                service: call.service.and_then(text),
                user: call.user.and_then(text),
                touched: call.mono,
                ..Transaction::default()
            };
            self.insert((call.task.pid, call.handle), transaction);
        }
    }

    fn set_item(&mut self, call: &PamCall<'_>, item: u64) {
        // A null pointer, which clears the item, can't be told from bytes that could not be read: what is known stays.
        let Some(value) = call.item else { return };
        let transaction = self.transaction(call);
        match item {
            ITEM_USER => transaction.user = text(value),
            ITEM_TTY => transaction.tty = text(value),
            ITEM_RHOST => transaction.rhost = text(value),
            _ => {}
        }
    }

    fn login<'a>(&mut self, call: &PamCall<'_>) -> Login<'a> {
        let known = self.transaction(call).clone();
        let owned = |text: Option<Vec<u8>>| text.map(Cow::Owned);
        Login {
            user: owned(known.user),
            service: owned(known.service),
            rhost: owned(known.rhost),
            tty: owned(known.tty),
            pam_result: call.result,
            from: "pam",
        }
    }

    /// The transaction of a call: the process's own, or the one of its parent, which it got when it was forked. Begun
    /// anew when its start was missed.
    fn transaction(&mut self, call: &PamCall<'_>) -> &mut Transaction {
        let own = (call.task.pid, call.handle);
        let parents = (call.task.ppid, call.handle);
        let is_inherited = !self.transactions.contains_key(&own) && self.transactions.contains_key(&parents);
        let handle = if is_inherited { parents } else { own };
        if !self.transactions.contains_key(&handle) {
            self.insert(handle, Transaction::default());
        }
        let transaction = self.transactions.entry(handle).or_default();
        transaction.touched = call.mono;
        transaction
    }

    fn insert(&mut self, handle: Handle, transaction: Transaction) {
        if self.transactions.len() >= CAPACITY
            && let Some(oldest) =
                self.transactions.iter().min_by_key(|(_, kept)| kept.touched).map(|(key, _)| *key)
        {
            self.transactions.remove(&oldest);
        }
        self.transactions.insert(handle, transaction);
    }
}

/// The event kind of a finished call; `None` when it decided nothing worth an event.
fn decided(function: PamFunction, result: i32) -> Option<Kind> {
    match function {
        PamFunction::Authenticate if UNDECIDED.contains(&result) => None,
        PamFunction::Authenticate if result == PAM_SUCCESS => Some(Kind::AuthOk),
        PamFunction::Authenticate => Some(Kind::AuthFailed),
        // Good accounts are no news; locked and expired ones are.
        PamFunction::AcctMgmt if [PAM_SUCCESS, PAM_NEW_AUTHTOK_REQD, PAM_IGNORE].contains(&result) => None,
        PamFunction::AcctMgmt => Some(Kind::AuthFailed),
        PamFunction::OpenSession => Some(Kind::Login),
        PamFunction::CloseSession => Some(Kind::Logout),
        PamFunction::Start | PamFunction::SetItem(_) | PamFunction::GetUser | PamFunction::End => None,
    }
}

fn event<'a>(call: PamCall<'a>, kind: Kind, login: Login<'a>) -> Event<'a> {
    let errno = if call.result == PAM_SUCCESS { 0 } else { EACCES };
    let PamCall { mono, task, flags, .. } = call;
    Event { mono, kind, errno, task: Some(task), flags, body: Body::Login(login) }
}

/// A text worth keeping: not empty, not endless.
fn text(bytes: &[u8]) -> Option<Vec<u8>> {
    let bytes = bytes.get(..TEXT_MAX).unwrap_or(bytes);
    (!bytes.is_empty()).then(|| bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use PamFunction::{AcctMgmt, Authenticate, CloseSession, End, GetUser, OpenSession, SetItem, Start};

    use super::*;
    use crate::event::Task;

    const MONITOR: (u32, u32) = (100, 1);
    const CHILD: (u32, u32) = (101, 100);

    fn call((pid, ppid): (u32, u32), function: PamFunction, result: i32) -> PamCall<'static> {
        let task = Task { pid, ppid, ..Task::default() };
        let (service, user, item) = (None, None, None);
        PamCall { mono: 1, task, function, handle: 0xabc, result, flags: 0, service, user, item }
    }

    fn started(table: &mut PamTable, user: Option<&'static [u8]>) {
        table.call(PamCall { service: Some(b"sshd"), user, ..call(MONITOR, Start, 0) });
        table.call(PamCall { item: Some(b"10.0.0.5"), ..call(MONITOR, SetItem(ITEM_RHOST), 0) });
        table.call(PamCall { item: Some(b"ssh"), ..call(MONITOR, SetItem(ITEM_TTY), 0) });
    }

    fn outcome(event: Option<Event<'_>>) -> (Kind, i32, String) {
        let event = event.unwrap();
        let Body::Login(login) = event.body else { panic!() };
        let texts = [login.user, login.service, login.rhost, login.tty];
        let shown = texts.map(|text| String::from_utf8(text.unwrap_or_default().into_owned()).unwrap());
        (event.kind, event.errno, format!("{} {}", shown.join(" "), login.pam_result))
    }

    #[test]
    fn sshd_is_followed_through_its_processes() {
        let mut table = PamTable::default();
        started(&mut table, Some(b"alice"));
        let all = "alice sshd 10.0.0.5 ssh";
        let failed = outcome(table.call(call(CHILD, Authenticate, 7)));
        assert_eq!(failed, (Kind::AuthFailed, EACCES, format!("{all} 7")));
        assert_eq!(outcome(table.call(call(CHILD, Authenticate, 0))), (Kind::AuthOk, 0, format!("{all} 0")));
        assert_eq!(table.call(call(CHILD, AcctMgmt, 0)), None);
        table.call(call(CHILD, End, 0));
        let login = outcome(table.call(call(MONITOR, OpenSession, 0)));
        assert_eq!(login, (Kind::Login, 0, format!("{all} 0")));
        let logout = outcome(table.call(call(MONITOR, CloseSession, 0)));
        assert_eq!(logout, (Kind::Logout, 0, format!("{all} 0")));
        table.call(call(MONITOR, End, 0));
        assert!(table.transactions.is_empty());
    }

    #[test]
    fn a_user_may_be_learned_late_and_change() {
        let mut table = PamTable::default();
        started(&mut table, None);
        table.call(PamCall { user: Some(b"bob"), ..call(CHILD, GetUser, 0) });
        assert_eq!(outcome(table.call(call(MONITOR, Authenticate, 10))).2, "bob sshd 10.0.0.5 ssh 10");
        table.call(PamCall { item: Some(b"carol"), ..call(MONITOR, SetItem(ITEM_USER), 0) });
        assert_eq!(outcome(table.call(call(MONITOR, OpenSession, 14))).0, Kind::Login);
        let refused = outcome(table.call(call(MONITOR, AcctMgmt, 13)));
        assert_eq!(refused, (Kind::AuthFailed, EACCES, "carol sshd 10.0.0.5 ssh 13".to_owned()));
    }

    #[test]
    fn a_missed_start_still_gives_the_event() {
        let mut table = PamTable::default();
        assert_eq!(
            outcome(table.call(call(MONITOR, CloseSession, 0))),
            (Kind::Logout, 0, "    0".to_owned())
        );
        assert_eq!(table.call(call(MONITOR, Authenticate, 31)), None);
        assert_eq!(table.call(call(MONITOR, AcctMgmt, 12)), None);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_dead() {
        let mut table = PamTable::default();
        for pid in 0..=4096 {
            table.call(PamCall { mono: u64::from(pid) + 1, ..call((pid, 0), Start, 0) });
        }
        assert_eq!(table.transactions.len(), CAPACITY);
        assert!(!table.transactions.contains_key(&(0, 0xabc)), "the oldest went");
        table.exit(7);
        assert_eq!(table.transactions.len(), CAPACITY - 1);
    }
}
