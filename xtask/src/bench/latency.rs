//! `bench latency`: from the moment of an event to a reader's hands, for one event of each urgency at a time.
use super::live::Live;
use anyhow::{Context as _, Result, ensure};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime};

/// Longest that an event may be on its way before this gives up.
const LIMIT: Duration = Duration::from_secs(20);

/// What `bench latency` takes.
#[derive(clap::Args)]
pub struct Args {
    /// Events of each kind
    #[arg(long, value_name = "N", default_value_t = 100)]
    count: usize,
    /// Record below this folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Records, follows, prints a table.
pub fn run(args: &Args) -> Result<()> {
    let live = Live::start(args.dir.as_deref())?;
    let mark = live.home().join("mark");
    let mut follower = Follower::start(&live)?;
    std::fs::create_dir_all(&mark)?;
    println!("{:<44}{:>10}{:>10}{:>12}", "event, one at a time", "p50 ms", "p99 ms", "budget ms");
    for (name, kind, script, budget) in [
        (
            "mount, at once (as login, credential, self)",
            "mount",
            "mount -t tmpfs none MARK && umount MARK",
            10,
        ),
        ("exec", "exec", "/bin/true", 300),
        ("file change", "file_create", "echo > MARK/file; rm MARK/file", 1_100),
    ] {
        let script = script.replace("MARK", &mark.display().to_string());
        let mut waits = Vec::with_capacity(args.count);
        for _ in 0..args.count {
            ensure!(!live.interrupted().load(Ordering::Relaxed), "interrupted");
            waits.push(follower.time(kind, &script)?);
        }
        waits.sort_by(f64::total_cmp);
        let at = |part: f64| waits.get((part * args.count as f64) as usize).copied().unwrap_or(f64::NAN);
        println!("{name:<44}{:>10.1}{:>10.1}{budget:>12}", at(0.5), at(0.99));
    }
    println!("seen by `recorder follow`, which adds its own way from the disk");
    Ok(())
}

/// `recorder follow`, with the time at which each line came.
struct Follower {
    child: Child,
    lines: Receiver<(SystemTime, serde_json::Value)>,
}

impl Follower {
    fn start(live: &Live) -> Result<Self> {
        let mut child = live
            .recorder("follow")
            .args(["--output", "jsonl", "--kind", "mount,exec,file_create"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("could not start `recorder follow`")?;
        let stdout = child.stdout.take().context("no output")?;
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let now = SystemTime::now();
                if let Ok(event) = serde_json::from_str(&line)
                    && send.send((now, event)).is_err()
                {
                    return;
                }
            }
        });
        Ok(Self { child, lines })
    }

    /// Milliseconds from an event of that kind, which the script makes, to its line.
    fn time(&mut self, kind: &str, script: &str) -> Result<f64> {
        let begin = SystemTime::now();
        let done = Command::new("sh").args(["-c", script]).status()?;
        ensure!(done.success(), "{script:?} failed");
        loop {
            let (came, event) = self.lines.recv_timeout(LIMIT).context("the event did not come")?;
            let text = |name: &str| event.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
            let mono = event.get("mono").and_then(serde_json::Value::as_u64).unwrap_or(0);
            let since_boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
            let now = since_boot.tv_sec as f64 * 1e3 + since_boot.tv_nsec as f64 / 1e6;
            let on_its_way = now - mono as f64 / 1e6 - came.elapsed()?.as_secs_f64() * 1e3;
            let age_of_begin = begin.elapsed()?.as_secs_f64() * 1e3;
            // An event from before this round is an echo of the one before.
            if text("kind") == kind && now - mono as f64 / 1e6 <= age_of_begin {
                return Ok(on_its_way);
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
