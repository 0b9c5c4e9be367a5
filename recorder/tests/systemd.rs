//! The unit file is one that systemd accepts, and as closed as measured.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on says so"
)]
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Highest accepted exposure, times ten, as `systemd-analyze --threshold` counts. Measured with systemd 252: 2.2.
const EXPOSURE: &str = "22";

fn systemd_analyze(args: &[&str], unit: &Path) -> Option<Output> {
    match Command::new("systemd-analyze").args(args).arg(unit).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("SKIPPED: systemd-analyze is not installed (Debian package systemd)");
            None
        }
        Err(error) => panic!("systemd-analyze: {error}"),
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd").join(name)
}

#[test]
fn the_unit_has_no_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("recorder.service");
    // The unit names the installed program, which a build machine does not have.
    let shipped = std::fs::read_to_string(shipped("recorder.service")).unwrap();
    std::fs::write(&unit, shipped.replace("/usr/bin/recorder", env!("CARGO_BIN_EXE_recorder"))).unwrap();
    let Some(output) = systemd_analyze(&["verify", "--man=no"], &unit) else { return };
    // Other units of the machine may have faults of their own.
    let faults: Vec<String> =
        text(&output).lines().filter(|line| line.contains("recorder")).map(str::to_owned).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_unit_is_as_closed_as_measured() {
    let args = ["security", "--offline=true", "--no-pager", "--threshold", EXPOSURE];
    let Some(output) = systemd_analyze(&args, &shipped("recorder.service")) else { return };
    assert!(output.status.success(), "{}", text(&output));
}

/// The units beside the recorder's: what they run has the network, and must not have anything else.
const UNPRIVILEGED: &[(&str, &str)] = &[("recorder-ship.service", "19"), ("recorder-witness.service", "19")];

#[test]
fn the_units_with_the_network_have_no_mistakes_and_no_privilege() {
    let folder = tempfile::tempdir().unwrap();
    for (name, exposure) in UNPRIVILEGED {
        let text = std::fs::read_to_string(shipped(name)).unwrap();
        for line in
            ["CapabilityBoundingSet=", "NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateDevices=yes"]
        {
            assert!(text.lines().any(|other| other == line), "{name}: {line} is missing");
        }
        assert!(text.lines().any(|line| line.starts_with("User=recorder-")), "{name}");
        let unit = folder.path().join(name);
        std::fs::write(&unit, text.replace("/usr/bin/recorder", env!("CARGO_BIN_EXE_recorder"))).unwrap();
        let Some(output) = systemd_analyze(&["verify", "--man=no"], &unit) else { return };
        let said = self::text(&output);
        assert!(said.lines().all(|line| !line.contains("recorder")), "{said}");
        let args = ["security", "--offline=true", "--no-pager", "--threshold", exposure];
        let Some(output) = systemd_analyze(&args, &shipped(name)) else { return };
        assert!(output.status.success(), "{}", self::text(&output));
    }
}

/// Values of a key of the unit, one by one.
fn values(unit: &str, key: &str) -> Vec<String> {
    let lines = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    lines.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

#[test]
fn the_unit_is_there_before_ordinary_services_and_after_them() {
    let unit = std::fs::read_to_string(shipped("recorder.service")).unwrap();
    // Default dependencies would order it after sysinit.target, which is to wait for it.
    assert_eq!(values(&unit, "DefaultDependencies"), ["no"]);
    let before = values(&unit, "Before");
    assert!(["sysinit.target", "shutdown.target"].iter().all(|name| before.iter().any(|unit| unit == name)));
    assert_eq!(values(&unit, "WantedBy"), ["sysinit.target"]);
    assert_eq!(values(&unit, "Conflicts"), ["shutdown.target"]);
    // It needs a disk to write to, the tracepoints, its group and its folder; nothing else may keep it waiting.
    assert_eq!(values(&unit, "RequiresMountsFor"), ["/var/log/recorder", "/var/lib/recorder"]);
    let after = ["sys-kernel-tracing.mount", "systemd-sysusers.service", "systemd-tmpfiles-setup.service"];
    assert_eq!(values(&unit, "After"), after);
}

#[test]
fn the_daemon_gets_no_network_and_no_spare_capability() {
    let unit = std::fs::read_to_string(shipped("recorder.service")).unwrap();
    for line in [
        "PrivateNetwork=yes",
        "RestrictAddressFamilies=AF_UNIX",
        "IPAddressDeny=any",
        "NoNewPrivileges=yes",
        // Keys stay out of swap.
        "LimitMEMLOCK=infinity",
        // The helper is not ended before the daemon, which still needs it for the last segment.
        "KillMode=mixed",
        // Why the last recorder stopped outlives a stop of the unit.
        "RuntimeDirectoryPreserve=yes",
    ] {
        assert!(unit.lines().any(|other| other == line), "{line} is missing");
    }
    // What it starts with; `live` below shows that the daemon gives most of it up.
    for capability in
        ["CAP_NET_ADMIN", "CAP_DAC_OVERRIDE", "CAP_CHOWN", "CAP_SETUID", "CAP_SYS_MODULE", "CAP_SYS_RAWIO"]
    {
        let granted = unit.lines().filter(|line| line.starts_with("CapabilityBoundingSet="));
        assert!(
            granted.clone().count() == 1 && granted.clone().all(|line| !line.contains(capability)),
            "recording does without {capability}"
        );
    }
}

mod live {
    //! The daemon under the unit's own limits, with a service manager made of a socket.
    use super::shipped;
    use std::io::Read as _;
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::net::UnixDatagram;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    /// Far above what a start takes on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// The capabilities in the unit as `setpriv` wants them.
    fn bounding_set() -> String {
        let unit = std::fs::read_to_string(shipped("recorder.service")).unwrap();
        let line = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
        let named = line.split(' ').map(|word| word.strip_prefix("CAP_").unwrap().to_lowercase());
        std::iter::once("-all".to_owned())
            .chain(named.map(|name| format!("+{name}")))
            .collect::<Vec<_>>()
            .join(",")
    }

    /// The unit's `Group=` where it exists, else root's: the store gives its files to that group.
    fn group() -> String {
        let groups = std::fs::read_to_string("/etc/group").unwrap();
        let known = groups.lines().any(|line| line.starts_with("recorder:"));
        if known { "recorder".to_owned() } else { "root".to_owned() }
    }

    fn start(store: &Path, manager: &Path) -> Child {
        Command::new("setpriv")
            .args([
                "--bounding-set",
                &bounding_set(),
                "--inh-caps=-all",
                "--clear-groups",
                "--regid",
                &group(),
            ])
            .args([env!("CARGO_BIN_EXE_recorder"), "daemon", "--store"])
            .arg(store)
            .env("NOTIFY_SOCKET", manager)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Notifications until one has `wanted`; all of them.
    fn hear(manager: &UnixDatagram, wanted: &str, daemon: &mut Child) -> String {
        let begin = Instant::now();
        let mut heard = String::new();
        let mut buffer = [0; 4096];
        while !heard.lines().any(|line| line == wanted) {
            if let Ok(length) = manager.recv(&mut buffer) {
                heard.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
            } else if daemon.try_wait().unwrap().is_some() || begin.elapsed() > PATIENCE {
                let _ = daemon.kill();
                let mut said = String::new();
                daemon.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("no {wanted} in {heard:?}; the daemon said: {said}");
            }
        }
        heard
    }

    fn capabilities(pid: u32) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    }

    /// The helper of the daemon that was started with this word.
    fn helper(daemon: u32, word: &str) -> u32 {
        let children = format!("/proc/{daemon}/task/{daemon}/children");
        let children = std::fs::read_to_string(children).unwrap();
        let pids = children.split_whitespace().map(|pid| pid.parse::<u32>().unwrap());
        let has_word = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|&byte| byte == 0).nth(1) == Some(word.as_bytes())
        };
        pids.into_iter().find(has_word).unwrap()
    }

    fn start_event(store: &Path) -> String {
        let mut query = Command::new(env!("CARGO_BIN_EXE_recorder"));
        let query = query.args(["query", "--kind", "start", "--output", "jsonl", "--store"]).arg(store);
        String::from_utf8(query.output().unwrap().stdout).unwrap()
    }

    #[test]
    #[ignore = "root: cargo xtask test"]
    fn every_probe_attaches_with_the_unit_s_capabilities_and_most_are_dropped_then() {
        // Append-only files need a real disk; /var/tmp is one.
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let manager = UnixDatagram::bind(folder.path().join("manager")).unwrap();
        manager.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let store = folder.path().join("store");
        let mut daemon = start(&store, &folder.path().join("manager"));
        let heard = hear(&manager, "READY=1", &mut daemon);
        assert!(heard.contains("STATUS=recording"), "{heard}");
        let (immutable, read_search, ptrace) = (1 << 9, 1 << 2, 1 << 19);
        assert_eq!(capabilities(daemon.id()), read_search | ptrace);
        assert_eq!(capabilities(helper(daemon.id(), "sealer")), immutable);
        let (perfmon, admin) = (1 << 38, 1 << 21);
        assert_eq!(capabilities(helper(daemon.id(), "attacher")), perfmon | admin);
        // It records still: a heartbeat of the loop comes after the drop.
        hear(&manager, "WATCHDOG=1", &mut daemon);
        rustix::process::kill_process(
            rustix::process::Pid::from_child(&daemon),
            rustix::process::Signal::TERM,
        )
        .unwrap();
        hear(&manager, "STOPPING=1", &mut daemon);
        let status = daemon.wait().unwrap();
        let mut said = String::new();
        daemon.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(Command::new("chattr").args(["-R", "-f", "-a", "-i"]).arg(folder.path()).status().is_ok());
        assert!(status.success(), "{said}");
        // Where the unit's LimitMEMLOCK can't be had, the record and the log say what that means.
        let unlimited = rustix::process::getrlimit(rustix::process::Resource::Memlock).maximum.is_none();
        assert_ne!(said.contains("memory is not locked"), unlimited, "{said}");
        assert!(start_event(&store).contains(&format!("\"memory_locked\":{unlimited}")));
        let mut said = said.lines().filter(|line| !line.contains("memory is not locked"));
        assert!(said.all(|line| !line.contains("ermission denied") && !line.contains("not permitted")));
        // Were they different, systemd-tmpfiles would fail at the next boot.
        let mode = format!("{:o}", store.metadata().unwrap().mode() & 0o7777);
        let tmpfiles = std::fs::read_to_string(shipped("recorder.tmpfiles")).unwrap();
        assert!(tmpfiles.contains(&format!("d /var/log/recorder {mode} root recorder -")), "{mode}");
    }
}
