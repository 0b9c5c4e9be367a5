//! The workload: a program that does thousands of operations by raw system calls and says exactly what it did.
//!
//! It runs in a process of its own (the test binary, started again) and writes its ledger to standard output.

pub mod attributes;
pub mod failures;
pub mod indirect;
pub mod ipc;
pub mod mounts;
pub mod names;
pub mod opens;
pub mod plan;
pub mod processes;
pub mod raw;
pub mod site;
pub mod writes;

use crate::support::ledger::{Entry, Expect};
use raw::{Outcome, errno_name, now};
use site::Place;

/// Environment variables: the directory to work in, and the seed.
pub const HOME: &str = "RECORDER_WORKLOAD_HOME";
pub const SEED: &str = "RECORDER_WORKLOAD_SEED";

/// Exit code of a child that panicked.
const BROKEN: i32 = 77;

/// A run of the workload in one process. A forked child goes on with its own copy and its own tag.
pub struct Run {
    tag: String,
    operations: u32,
    children: u32,
    state: u64,
    /// Every object is made below here.
    pub home: Vec<u8>,
    ids: [u32; 4],
    lines: Vec<u8>,
    /// Other threads of the process act for the caller, so nobody knows which.
    pub any_thread: bool,
    /// Changes the expectation of the next call that is noted.
    pub amend: Option<fn(Expect) -> Expect>,
}

impl Run {
    pub fn new(home: Vec<u8>, seed: u64) -> Self {
        let mut run = Self {
            tag: "o".to_owned(),
            operations: 0,
            children: 0,
            state: seed,
            home,
            ids: [0; 4],
            lines: Vec::new(),
            any_thread: false,
            amend: None,
        };
        run.learn_ids();
        run
    }

    /// Reads the ids again after they were changed.
    pub fn learn_ids(&mut self) {
        let numbers = [libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid];
        self.ids = numbers.map(|number| u32::try_from(raw::call(number, &[]).unwrap_or(0)).unwrap_or(0));
    }

    /// splitmix64.
    pub fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.random() % from.len() as u64).unwrap_or(0)]
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.random() % limit
    }

    /// A new name that was never used, in one of many awkward shapes.
    pub fn leaf(&mut self) -> Vec<u8> {
        const TAILS: [&[u8]; 20] = [
            b"",
            b"",
            b"",
            b" a b ",
            b"\nline",
            b"\"quote'",
            b"\\back",
            b"\tt\x01\x1b[31m\x7f",
            b"\xff\xfe",
            b"caf\xc3\xa9",
            b"\xc3",
            b"\xe2\x80\xaertl",
            b"\xf4\x8f\xbe\x80",
            b"\xf4\x8f\xbf\xbf\xed\xa0\x80",
            b"{\"a\":1}",
            b"$(id)%s",
            b"...",
            b" (deleted)",
            b"\xf0\x9f\x92\xa9",
            b"LONG",
        ];
        let mut name = self.plain_leaf();
        let tail = self.pick(&TAILS);
        if tail == b"LONG" {
            let filler = self.pick(&[b'x', 0xfe]);
            name.resize(255, filler);
        } else {
            name.extend_from_slice(tail);
        }
        name
    }

    /// A new name that was never used.
    pub fn plain_leaf(&mut self) -> Vec<u8> {
        self.operations += 1;
        format!("{}{}.", self.tag, self.operations).into_bytes()
    }

    /// Makes a call and writes it down. `expect` says what event a success or failure leaves; its result is filled in.
    pub fn act(
        &mut self,
        name: &str,
        made: impl FnOnce() -> Outcome,
        expect: impl FnOnce(&Outcome) -> Option<Expect>,
    ) -> Outcome {
        let t0 = now();
        let outcome = made();
        let t1 = now();
        let expected = expect(&outcome);
        self.note(name, (t0, t1), &outcome, expected);
        outcome
    }

    /// Changes this process's ids. The event has those after the call, and so has all that follows.
    pub fn become_other(&mut self, call: &str, number: i64, arguments: &[i64], expect: Expect) {
        let [uid, euid, gid, egid] = self.ids;
        let old = expect.field("old_uid", uid).field("old_euid", euid);
        let expect = old.field("old_gid", gid).field("old_egid", egid).text("call", call.as_bytes());
        let t0 = now();
        let outcome = raw::call(number, arguments);
        let t1 = now();
        outcome.expect(call);
        self.learn_ids();
        self.note(call, (t0, t1), &outcome, Some(expect));
    }

    /// Goes on as these real, effective and saved users.
    pub fn become_user(&mut self, users: [u32; 3]) {
        let expect = Expect::new("credential").field("uid_set", users[0]).field("euid_set", users[1]);
        let expect = expect.field("suid_set", users[2]).field("suid", users[2]).field("fsuid", users[1]);
        self.become_other("setresuid", libc::SYS_setresuid, &users.map(i64::from), expect);
    }

    /// Takes namespaces of its own.
    pub fn unshare(&mut self, flag: i32, word: &str) {
        let expect = Expect::new("namespace").text("call", b"unshare").field("namespaces", vec![word]);
        self.act("unshare", || raw::call(libc::SYS_unshare, &[i64::from(flag)]), |_| Some(expect))
            .expect("unshare");
    }

    /// Writes one line of the ledger. EAGAIN and EINTR leave no event, and neither does a call that the kernel lacks.
    pub fn note(&mut self, name: &str, (t0, t1): (u64, u64), outcome: &Outcome, expect: Option<Expect>) {
        self.operations += 1;
        let result = outcome.map_or_else(errno_name, |_| "ok".to_owned());
        let unrecorded = matches!(outcome, Err(libc::EAGAIN | libc::EINTR | libc::ENOSYS));
        let expect = expect.filter(|_| !unrecorded).map(|expect| Expect { result: result.clone(), ..expect });
        let amend = self.amend.take();
        let expect = expect.map(|expect| amend.map_or_else(|| expect.clone(), |amend| amend(expect.clone())));
        let id = |number| u32::try_from(raw::call(number, &[]).unwrap_or(0)).unwrap_or(0);
        let entry = Entry {
            op: format!("{}{}", self.tag, self.operations),
            call: name.to_owned(),
            result,
            pid: id(libc::SYS_getpid),
            tid: if self.any_thread { 0 } else { id(libc::SYS_gettid) },
            ids: self.ids,
            t0,
            t1,
            expect,
        };
        serde_json::to_writer(&mut self.lines, &entry).expect("ledger line");
        self.lines.push(b'\n');
        if self.lines.len() > 32 * 1024 {
            self.flush();
        }
    }

    /// Says the ids of the next calls, which are not those of the process.
    pub fn claim_ids(&mut self, ids: [u32; 4]) {
        self.ids = ids;
    }

    /// Sends the lines so far to the test.
    pub fn flush(&mut self) {
        let mut rest = self.lines.as_slice();
        while !rest.is_empty() {
            let length = rest.len() as i64;
            let sent = raw::call(libc::SYS_write, &[1, rest.as_ptr() as i64, length]).expect("ledger");
            rest = &rest[usize::try_from(sent).unwrap_or(0)..];
        }
        self.lines.clear();
    }

    /// Runs `work` in a forked child that then ends with its code, and waits for it.
    pub fn child(&mut self, work: impl FnOnce(&mut Self) -> i32) -> (i32, i32) {
        self.flush();
        self.children += 1;
        let t0 = now();
        let pid = raw::fork();
        if pid == 0 {
            self.tag = format!("{}c{}n", self.tag, self.children);
            self.children = 0;
            self.operations = 0;
            let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(self)));
            self.flush();
            raw::leave(worked.unwrap_or(BROKEN));
        }
        let (pid, status) = self.forked("fork", pid, t0);
        assert_ne!((status >> 8) & 0xff, BROKEN, "a child broke off");
        (pid, status)
    }

    /// Writes down a child that was made, waits for it, and writes down its end.
    pub fn forked(&mut self, call: &str, pid: i32, t0: u64) -> (i32, i32) {
        assert!(pid > 0, "fork");
        let made = Expect::new("fork").field("child", pid);
        self.note(call, (t0, now()), &Ok(i64::from(pid)), Some(made));
        let status = raw::wait(pid);
        let (code, signal) = ((status >> 8) & 0xff, status & 0x7f);
        let ended = Expect::new("exit").field("code", code);
        let ended = match signal {
            0 => ended.field("signal", serde_json::Value::Null),
            number => ended.field("signal", signal_name(number)),
        };
        self.note_of(pid, (t0, now()), "_exit", ended);
        (pid, status)
    }

    /// An event that another process leaves: its exit, its exec. Its ids are not checked.
    pub fn note_of(&mut self, pid: i32, (t0, t1): (u64, u64), call: &str, expect: Expect) {
        self.operations += 1;
        let pid = u32::try_from(pid).unwrap_or(0);
        let entry = Entry {
            op: format!("{}{}", self.tag, self.operations),
            call: call.to_owned(),
            result: expect.result.clone(),
            pid,
            tid: 0,
            ids: [u32::MAX; 4],
            t0,
            t1,
            expect: Some(expect),
        };
        serde_json::to_writer(&mut self.lines, &entry).expect("ledger line");
        self.lines.push(b'\n');
    }
}

fn signal_name(number: i32) -> &'static str {
    match number {
        libc::SIGKILL => "SIGKILL",
        libc::SIGTERM => "SIGTERM",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGABRT => "SIGABRT",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGXFSZ => "SIGXFSZ",
        _ => "?",
    }
}

/// An event that names its object by the caller's argument.
pub fn named(kind: &str, place: &Place) -> Expect {
    let mut expect = Expect::new(kind).must(&place.flags);
    if let Some(path) = &place.named {
        expect = expect.path(path);
    }
    expect.real = (!place.real.is_empty()).then(|| crate::support::ledger::escape(&place.real));
    expect
}

/// Entry point of the re-executed test binary; false when this process is not the workload.
pub fn run_if_asked() -> bool {
    let Some(home) = std::env::var_os(HOME) else { return false };
    let seed = std::env::var(SEED).ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut run = Run::new(std::os::unix::ffi::OsStringExt::into_vec(home), seed);
    plan::everything(&mut run);
    run.flush();
    true
}
