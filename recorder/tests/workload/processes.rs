//! Processes: how they begin, what they run, how they end, and files that outlive or outrun them.

use super::Run;
use super::opens::Open;
use super::plan::{named, raw_close};
use super::raw::{self, Outcome, c, now};
use super::site::{Place, Shape, Site, join};
use super::writes::Source;
use crate::support::ledger::{Expect, escape};

/// The tracepoint before an exec closes descriptors, since 6.10.
const PREPARE_EXEC: &str = "/sys/kernel/tracing/events/sched/sched_prepare_exec";

/// Forks, execs, ends.
pub fn everything(run: &mut Run, site: &Site, source: Source) {
    raw::call(libc::SYS_fchdir, &[i64::from(site.dir_fd)]).expect("fchdir");
    for code in [0, 1, 42, 255] {
        run.child(|_| code);
    }
    for signal in [libc::SIGKILL, libc::SIGTERM, libc::SIGUSR1, libc::SIGABRT] {
        run.child(|_| end_by(signal));
    }
    other_forks(run);
    programs(run, site);
    files_that_processes_leave(run, site, source);
    threads(run, site, source);
}

/// Ends this process by a signal, without a core file.
fn end_by(signal: i32) -> i32 {
    let none = [0_u64, 0];
    raw::call(libc::SYS_prlimit64, &[0, i64::from(libc::RLIMIT_CORE), none.as_ptr() as i64, 0])
        .expect("rlimit");
    let default = [0_u64; 4];
    let _ = raw::call(libc::SYS_rt_sigaction, &[i64::from(signal), default.as_ptr() as i64, 0, 8]);
    let pid = raw::call(libc::SYS_getpid, &[]).expect("getpid");
    raw::call(libc::SYS_kill, &[pid, i64::from(signal)]).expect("kill");
    99
}

/// fork, clone and clone3 by number.
fn other_forks(run: &mut Run) {
    run.flush();
    let args = [0_u64, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0];
    for call in ["fork:raw", "clone", "clone3"] {
        let t0 = now();
        let made = match call {
            "fork:raw" => raw::call(libc::SYS_fork, &[]),
            "clone" => raw::call(libc::SYS_clone, &[i64::from(libc::SIGCHLD), 0, 0, 0, 0]),
            _ => raw::call(libc::SYS_clone3, &[args.as_ptr() as i64, 64]),
        };
        let pid = raw::fd_of(made);
        if pid == 0 {
            raw::leave(11);
        }
        run.forked(call, pid, t0);
    }
    // vfork, by way of posix_spawn.
    let t0 = now();
    let mut spawned = std::process::Command::new("/bin/true").current_dir("/").spawn().expect("spawn");
    let pid = i32::try_from(spawned.id()).expect("pid");
    let expect = Expect::new("exec").text("cwd", b"/").field("argv", vec!["/bin/true"]).field("argc", 1);
    run.forked("spawn", pid, t0);
    run.note_exec((pid, t0), "execve", None, expect);
    let _ = spawned.try_wait();
}

/// What a program start is expected to say.
fn started(file: &[u8], argv: &[&[u8]], cwd: &[u8]) -> Expect {
    let words: Vec<String> = argv.iter().map(|word| escape(word)).collect();
    let count = words.len();
    let kind = Expect::new("exec").text("file", file).field("argv", words).field("argc", count);
    kind.text("cwd", cwd)
}

impl Run {
    /// An exec event of a child, noted by its parent.
    fn note_exec(&mut self, (pid, t0): (i32, u64), call: &str, fails: Option<i32>, expect: Expect) {
        let kind = if fails.is_none() { "exec" } else { "exec_failed" };
        let result = fails.map_or_else(|| "ok".to_owned(), raw::errno_name);
        let expect = Expect { kind: kind.to_owned(), result, ..expect };
        self.note_of(pid, (t0, now()), call, expect);
    }

    /// Forks a child that execs; its exit code tells the errno of a failure, which no program here uses.
    fn exec(&mut self, call: &str, expect: Expect, fails: Option<i32>, made: impl Fn() -> Outcome) {
        self.flush();
        let t0 = now();
        let pid = raw::fork();
        if pid == 0 {
            let code = made().err().unwrap_or(0);
            raw::leave(100 + code);
        }
        let (_, status) = self.forked("fork", pid, t0);
        self.note_exec((pid, t0), call, fails, expect);
        let code = (status >> 8) & 0xff;
        assert!(fails.map_or(code < 100, |errno| code == 100 + errno), "{call}: {fails:?}, code {code}");
    }
}

/// A NULL-ended vector of strings. The strings must outlive it.
fn vector(words: &[std::ffi::CString]) -> Vec<i64> {
    words.iter().map(|word| word.as_ptr() as i64).chain([0]).collect()
}

fn programs(run: &mut Run, site: &Site) {
    let cwd = site.real();
    let odd: [&[u8]; 5] = [b"name of choice", b"", b"two\nlines", b"\xff\xfe\"", b"\xf4\x8f\xbf\xbf"];
    let many: Vec<Vec<u8>> = (0..200).map(|number| format!("argument {number}").into_bytes()).collect();
    let many: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
    for argv in [&odd[..], &many[..], &odd[..1]] {
        let words: Vec<_> = argv.iter().map(|word| c(word)).collect();
        let list = vector(&words);
        let file = c"/bin/true".as_ptr() as i64;
        run.exec("execve", started(b"/bin/true", argv, &cwd), None, || {
            raw::call(libc::SYS_execve, &[file, list.as_ptr() as i64, 0])
        });
    }
    script(run, site);
    refused_programs(run, site);
}

/// Writes a small file with mode bits through calls of the ledger.
fn executable(run: &mut Run, site: &Site, content: &[u8], mode: i64) -> Place {
    let leaf = run.leaf();
    let place = site.place(Shape::Relative, &leaf).expect("short");
    let mut open = run.create(&place);
    let at = content.as_ptr() as i64;
    let length = content.len() as i64;
    let first = open.expect("file_write").must(&["first"]).field("bytes", length);
    run.act("write", || raw::call(libc::SYS_write, &[i64::from(open.fd), at, length]), |_| Some(first))
        .expect("write");
    open.bytes = content.len() as u64;
    open.calls = 1;
    let expect = open.expect("attr_mode").field("mode_set", mode);
    run.act("fchmod", || raw::call(libc::SYS_fchmod, &[i64::from(open.fd), mode]), |_| Some(expect))
        .expect("fchmod");
    run.close(open);
    place
}

/// A script runs its interpreter, with the script's name between.
fn script(run: &mut Run, site: &Site) {
    let cwd = site.real();
    let place = executable(run, site, b"#!/bin/sh -e\nexit 3\n", 0o755);
    let given = place.given.clone().expect("given");
    let words = [given.clone(), c(b"argument")];
    let list = vector(&words);
    let argv: [&[u8]; 4] = [b"/bin/sh", b"-e", given.as_bytes(), b"argument"];
    let expect = started(given.as_bytes(), &argv, &cwd).text("interp", b"/bin/sh");
    run.exec("execve", expect, None, || {
        raw::call(libc::SYS_execve, &[place.name(), list.as_ptr() as i64, 0])
    });
    // By descriptor, which must stay open for the interpreter.
    let program = raw::fd_of(raw::call(libc::SYS_open, &[c"/bin/true".as_ptr() as i64, 0, 0]));
    let argv: [&[u8]; 1] = [b"by descriptor"];
    let words = [c(argv[0])];
    let list = vector(&words);
    let mut expect = started(b"", &argv, &cwd);
    expect.fields.remove("file");
    run.exec("execveat", expect, None, || {
        let nothing = c"".as_ptr() as i64;
        raw::call(libc::SYS_execveat, &[i64::from(program), nothing, list.as_ptr() as i64, 0, 0x1000])
    });
    raw_close(i64::from(program));
}

fn refused_programs(run: &mut Run, site: &Site) {
    let cwd = site.real();
    let missing = site.place(Shape::Relative, &run.leaf()).expect("short");
    let not_executable = executable(run, site, b"#!/bin/sh\n", 0o644);
    let nonsense = executable(run, site, b"\x7fnonsense", 0o755);
    let no_interpreter = executable(run, site, b"#!/no/such/interpreter\n", 0o755);
    let rows = [
        (&missing, libc::ENOENT),
        (&not_executable, libc::EACCES),
        (&nonsense, libc::ENOEXEC),
        (&no_interpreter, libc::ENOENT),
    ];
    for (place, errno) in rows {
        for call in ["execve", "execveat"] {
            let argv: [&[u8]; 3] = [b"it", b"will\nfail", b"\xff"];
            let words: Vec<_> = argv.iter().map(|word| c(word)).collect();
            let list = vector(&words);
            let given = place.given.as_ref().expect("given").as_bytes();
            run.exec(call, started(given, &argv, &cwd), Some(errno), || match call {
                "execve" => raw::call(libc::SYS_execve, &[place.name(), list.as_ptr() as i64, 0]),
                _ => raw::call(libc::SYS_execveat, &[-100, place.name(), list.as_ptr() as i64, 0, 0]),
            });
        }
    }
}

/// Open files at the end of a process, across exec, and shared between processes.
fn files_that_processes_leave(run: &mut Run, site: &Site, source: Source) {
    for end in ["exit", "kill", "exec"] {
        run.child(|run| {
            let mut open = fresh(run, site);
            run.write(&mut open, "write", source);
            run.write(&mut open, "pwrite64", source);
            if end == "exec" {
                raw::call(libc::SYS_fcntl, &[i64::from(open.fd), 2, 1]).expect("cloexec");
            }
            // The last words of this process: the summary comes when it is gone.
            let t0 = now();
            // What exec closes is gone before a hook of the syscall family sees it, up to Linux 6.9.
            let is_optional = end == "exec" && !std::path::Path::new(PREPARE_EXEC).is_dir();
            let summary = Run::summary(&open).map(|expect| Expect { is_optional, ..expect });
            run.note("(end)", (t0, u64::MAX), &Ok(0), summary);
            run.flush();
            match end {
                "exit" => 0,
                "kill" => end_by(libc::SIGKILL),
                _ => {
                    let pid = raw::call(libc::SYS_getpid, &[]).expect("getpid");
                    let words = [c(b"true")];
                    let list = vector(&words);
                    let expect = started(b"/bin/true", &[b"true"], &site.real());
                    let expect = Expect { result: "ok".to_owned(), ..expect };
                    run.note_of(i32::try_from(pid).expect("pid"), (t0, u64::MAX), "execve", expect);
                    run.flush();
                    let file = c"/bin/true".as_ptr() as i64;
                    let refused = raw::call(libc::SYS_execve, &[file, list.as_ptr() as i64, 0]);
                    refused.err().unwrap_or(0)
                }
            }
        });
    }
    // Written by a child too: one first write, one summary at the parent's close.
    let mut open = fresh(run, site);
    run.write(&mut open, "write", source);
    let before = (open.bytes, open.calls);
    let buffer = [0_u8; 77];
    run.child(|run| {
        let at = buffer.as_ptr() as i64;
        run.act("write", || raw::call(libc::SYS_write, &[i64::from(open.fd), at, 77]), |_| None)
            .expect("write");
        0
    });
    (open.bytes, open.calls) = (before.0 + 77, before.1 + 1);
    run.close(open);
    passed_on(run, site, source);
}

fn fresh(run: &mut Run, site: &Site) -> Open {
    let leaf = run.leaf();
    let place = site.place(Shape::Relative, &leaf).expect("short");
    run.create(&place)
}

/// The parent closes first: the summary comes at the child's end.
fn passed_on(run: &mut Run, site: &Site, source: Source) {
    let mut open = fresh(run, site);
    run.write(&mut open, "writev", source);
    let mut pipe = [0_i32; 2];
    raw::call(libc::SYS_pipe2, &[pipe.as_mut_ptr() as i64, 0]).expect("pipe2");
    let [out, into] = pipe.map(i64::from);
    run.flush();
    let t0 = now();
    let pid = raw::fork();
    if pid == 0 {
        raw_close(into);
        let mut byte = [0_u8];
        let _ = raw::call(libc::SYS_read, &[out, byte.as_mut_ptr() as i64, 1]);
        raw::leave(0);
    }
    raw_close(out);
    run.act("close", || raw::call(libc::SYS_close, &[i64::from(open.fd)]), |_| None).expect("close");
    run.note_of(pid, (now(), u64::MAX), "(end)", Run::summary(&open).expect("written"));
    raw_close(into);
    run.forked("fork", pid, t0);
}

/// A thread is not a process: its changes count, its beginning and end do not.
fn threads(run: &mut Run, site: &Site, source: Source) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let open = fresh(run, site);
            run.close(open);
            let mut open = fresh(run, site);
            run.write(&mut open, "write", source);
            run.close(open);
            let path = join(&site.real(), &run.leaf());
            run.apply(named("mkdir"), &Place::new(&path, path.clone()), None).expect("mkdir");
        });
    });
}
