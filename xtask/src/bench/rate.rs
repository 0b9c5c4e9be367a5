//! `bench rate`: real file changes at a fixed rate for a fixed time; nothing may be lost.
use super::live::{Live, cpu_seconds, memory_kb};
use anyhow::{Context as _, Result, ensure};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Events of one round: create, first write, close, rename, chmod, delete.
const ROUND: u64 = 6;

/// What `bench rate` takes.
#[derive(clap::Args)]
pub struct Args {
    /// Events asked for, each second
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    rate: u64,
    /// For so long
    #[arg(long, value_name = "S", default_value_t = 60)]
    seconds: u64,
    /// Threads that make them
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: u64,
    /// Record and work below this folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Records the load, prints a table.
pub fn run(args: &Args) -> Result<()> {
    let mut live = Live::start(args.dir.as_deref())?;
    let (cpu, begin) = (cpu_seconds(live.pid())?, Instant::now());
    let made = load(live.home(), args, live.interrupted())?;
    let seconds = begin.elapsed().as_secs_f64();
    let used = cpu_seconds(live.pid())? - cpu;
    let (resident, peak) = (memory_kb(live.pid(), "VmRSS")?, memory_kb(live.pid(), "VmHWM")?);
    live.stop()?;
    let lost = serde_json::from_str::<serde_json::Value>(&verify(&live)?)?;
    let field = |name: &str| lost.get(name).and_then(serde_json::Value::as_u64).context("report");
    let (recorded, bytes) = (field("events")?, field("bytes")?);
    println!(
        "made      {made} events in {seconds:.1} s: {:.0} events/s (asked: {})",
        made as f64 / seconds,
        args.rate
    );
    println!("recorded  {recorded} events (other programs' too), lost {}", field("lost")?);
    println!(
        "daemon    {used:.1} s of processor: {:.2} us/event, {:.0} % of a core",
        used * 1e6 / recorded as f64,
        used / seconds * 100.0
    );
    println!("memory    {resident} kB resident at the end, {peak} kB at most (budget 262144)");
    println!("on disk   {:.1} B/event", bytes as f64 / recorded as f64);
    println!("verify    {}", lost.get("verdict").and_then(serde_json::Value::as_str).unwrap_or("?"));
    Ok(())
}

fn verify(live: &Live) -> Result<String> {
    // Its exit code is the verdict, and never 0 on the host itself.
    let done = live.recorder("verify").arg("--json").output().context("could not start `recorder verify`")?;
    Ok(String::from_utf8(done.stdout)?)
}

/// Gives the number of events that were made.
fn load(home: &Path, args: &Args, interrupted: &Arc<AtomicBool>) -> Result<u64> {
    let rounds = args.rate * args.seconds / ROUND / args.threads.max(1);
    let pause = Duration::from_secs(args.seconds).div_f64(rounds.max(1) as f64);
    let workers: Vec<_> = (0..args.threads)
        .map(|number| {
            let folder = home.join(format!("load.{number}"));
            let interrupted = Arc::clone(interrupted);
            thread::spawn(move || work(&folder, rounds, pause, &interrupted))
        })
        .collect();
    for worker in workers {
        worker.join().map_err(|_| anyhow::anyhow!("a thread of the load panicked"))??;
    }
    Ok(rounds * ROUND * args.threads)
}

fn work(folder: &Path, rounds: u64, pause: Duration, interrupted: &AtomicBool) -> Result<()> {
    fs::create_dir_all(folder)?;
    let begin = Instant::now();
    for round in 0..rounds {
        let (new, old) =
            (folder.join(format!("file-{round:06}.tmp")), folder.join(format!("file-{round:06}.dat")));
        File::create_new(&new)?.write_all(&[b'x'; 512])?;
        fs::rename(&new, &old)?;
        fs::set_permissions(&old, fs::Permissions::from_mode(0o600))?;
        fs::remove_file(&old)?;
        ensure!(!interrupted.load(Ordering::Relaxed), "interrupted");
        let due = pause.mul_f64(round as f64 + 1.0);
        if let Some(early) =
            due.checked_sub(begin.elapsed()).filter(|early| *early > Duration::from_millis(1))
        {
            thread::sleep(early);
        }
    }
    Ok(())
}
