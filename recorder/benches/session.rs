//! What sessions cost to put together: CPU and memory for many of them, replayed as lines.
//! `cargo bench -p recorder --bench session -- [DIR] [events]`: DIR is not used; events are those of all processes.

use std::io::{self, Write as _};

use anyhow::{Context as _, Result, ensure};
use recorder::session::fold::Fold;
use rustix::time::{ClockId, clock_gettime};

const SESSIONS: u64 = 10_000;
/// Fork, exec, a changed file, exit.
const EVENTS_OF_A_PROCESS: u64 = 4;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let _directory = arguments.next();
    let events: u64 = arguments.next().map_or(Ok(4_000_000), |count| count.parse())?;
    let processes = events / EVENTS_OF_A_PROCESS;
    let before = resident()?;
    let mut fold = Fold::default();
    let (mut spent, mut lines) = (0, Lines::default());
    for session in 0..SESSIONS {
        lines.begin(session);
    }
    spent += replay(&mut fold, &mut lines)?;
    for process in 0..processes {
        lines.process(process, process % SESSIONS);
        if process % 1024 == 1023 {
            spent += replay(&mut fold, &mut lines)?;
        }
    }
    spent += replay(&mut fold, &mut lines)?;
    let after = resident()?;
    let sessions = fold.sessions();
    ensure!(sessions.len() as u64 == SESSIONS, "{} sessions", sessions.len());
    let commands: u64 = sessions.iter().map(|session| session.counts.commands).sum();
    ensure!(commands == processes, "{commands} commands of {processes}");
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{SESSIONS} sessions, {processes} processes, {} events: CPU {:.2} s, {:.2} us/event, memory {} MiB",
        lines.seq,
        spent as f64 / 1e9,
        spent as f64 / 1e3 / lines.seq as f64,
        (after.saturating_sub(before)) >> 10,
    )?;
    Ok(())
}

/// Lines that are not replayed yet.
#[derive(Default)]
struct Lines {
    text: String,
    seq: u64,
}

impl Lines {
    fn add(&mut self, kind: &str, (pid, parent, session): (u64, u64, u64), more: &str) {
        let (seq, id) = (self.seq, session + 1);
        let (minute, second) = (seq / 60_000_000 % 60, seq / 1_000_000 % 60);
        let t = format!("2027-01-15T08:{minute:02}:{second:02}.{:09}Z", seq % 1_000_000 * 1000);
        self.text += &format!(
            "{{\"seq\":{seq},\"t\":\"{t}\",\"mono\":{seq},\"kind\":\"{kind}\",\"result\":\"ok\",\"pid\":{pid},\"tid\":{pid},\
             \"ppid\":{parent},\"key\":\"0a1b2c3d-{pid}-{pid}\",\"pkey\":\"0a1b2c3d-{parent}-{parent}\",\"comm\":\"cc1\",\
             \"exe\":\"/usr/libexec/gcc/cc1\",\"uid\":1000,\"euid\":1000,\"gid\":1000,\"egid\":1000,\"loginuid\":1000,\
             \"session\":{id},\"cgroup\":\"/user.slice/user-1000.slice/session-{id}.scope\",\"container\":null,\
             \"mntns\":4026531841,\"pidns\":4026531836{more},\"flags\":[]}}\n"
        );
        self.seq += 1;
    }

    fn begin(&mut self, session: u64) {
        let pid = 1_000_000 + session;
        self.add("session_id", (pid, 1, session), ",\"call\":\"write\"");
        let pam = ",\"user\":\"alice\",\"service\":\"sshd\",\"rhost\":\"10.0.0.5\",\"tty\":\"ssh\",\"from\":\"pam\",\"pam_result\":0";
        self.add("login", (pid, 1, session), pam);
    }

    fn process(&mut self, process: u64, session: u64) {
        let (pid, parent) = (2_000_000 + process, 1_000_000 + session);
        let child = format!(",\"child\":{pid},\"child_tid\":{pid},\"child_key\":\"0a1b2c3d-{pid}-{pid}\"");
        self.add("fork", (parent, 1, session), &child);
        let argv = ",\"argv\":[\"cc1\",\"-O2\",\"-o\",\"a.o\"],\"argc\":4,\"cwd\":\"/srv\",\"file\":\"/usr/libexec/gcc/cc1\"";
        self.add("exec", (pid, parent, session), argv);
        let path = format!(",\"path\":\"/srv/build/object-{}.o\"", process % 4096);
        self.add("file_create", (pid, parent, session), &path);
        self.add("exit", (pid, parent, session), ",\"code\":0,\"signal\":null");
    }
}

/// CPU time of the fold alone, ns.
fn replay(fold: &mut Fold, lines: &mut Lines) -> Result<u64> {
    let started = cpu_ns();
    for line in lines.text.lines() {
        fold.line(line.as_bytes())?;
    }
    let spent = cpu_ns() - started;
    lines.text.clear();
    Ok(spent)
}

fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Resident memory in KiB.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
