//! System calls that no ordinary program makes in a way that suits: made by number, in a process of its own, and
//! where they would change the machine as user nobody or in namespaces.

use crate::raw::{self, Outcome, c};

/// Names the function that the re-executed test binary runs.
pub const NAME: &str = "RECORDER_AUDITOR_CALLS";
const NOBODY: i64 = 65_534;
const CLONE_NEWUSER: i64 = libc::CLONE_NEWUSER as i64;
const CLONE_NEWUTS: i64 = libc::CLONE_NEWUTS as i64;

/// Entry point of the re-executed test binary.
pub fn run_if_asked() {
    let Some(name) = std::env::var_os(NAME) else { return };
    // With one thread, as a namespace of users demands.
    let status = child(|| match name.to_str().expect("UTF-8") {
        "clocks" => clocks(),
        "names" => names(),
        "mounts" => mounts(),
        "modules" => modules(),
        "objects" => objects(),
        "power" => power(),
        "restarts" => restarts(),
        other => panic!("no calls {other}"),
    });
    assert_eq!(status, 0, "wait status");
}

/// Runs `work` in a forked child; its wait status.
fn child(work: impl FnOnce()) -> i32 {
    let pid = raw::fork();
    if pid == 0 {
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        raw::leave(i32::from(worked.is_err()));
    }
    raw::wait(pid)
}

/// Runs `work` in a child that is user nobody.
fn as_nobody(work: impl FnOnce()) {
    let status = child(|| {
        raw::call(libc::SYS_setgroups, &[0, 0]).expect("setgroups");
        raw::call(libc::SYS_setresgid, &[NOBODY; 3]).expect("setresgid");
        raw::call(libc::SYS_setresuid, &[NOBODY; 3]).expect("setresuid");
        work();
    });
    assert_eq!(status, 0, "as nobody");
}

fn refused(outcome: Outcome) {
    assert_eq!(outcome, Err(libc::EPERM));
}

/// Of kernels that are built without the call, ENOSYS is the answer.
fn refused_or_absent(outcome: Outcome) {
    assert!(matches!(outcome, Err(libc::EPERM | libc::ENOSYS)), "{outcome:?}");
}

/// Never as root: there is only one clock. What root is refused is a clock that can't be set.
fn clocks() {
    let time = [1_577_836_800_i64, 5];
    let at = time.as_ptr() as i64;
    let unsettable = raw::call(libc::SYS_clock_settime, &[i64::from(libc::CLOCK_MONOTONIC), at]);
    assert_eq!(unsettable, Err(libc::EINVAL));
    as_nobody(|| {
        refused(raw::call(libc::SYS_clock_settime, &[0, at]));
        let microseconds = [1_577_836_800_i64, 7];
        refused(raw::call(libc::SYS_settimeofday, &[microseconds.as_ptr() as i64, 0]));
        // ADJ_FREQUENCY, ADJ_SETOFFSET; a call with no modes only asks.
        let calls = [(libc::SYS_adjtimex, 2_i64), (libc::SYS_clock_adjtime, 0x100), (libc::SYS_adjtimex, 0)];
        for (number, modes) in calls {
            let mut timex = [0_i64; 32];
            timex[0] = modes;
            let at = timex.as_mut_ptr() as i64;
            let arguments = if number == libc::SYS_adjtimex { [at, 0] } else { [0, at] };
            let outcome = raw::call(number, &arguments);
            if modes == 0 {
                assert!(outcome.is_ok(), "{outcome:?}");
            } else {
                refused(outcome);
            }
        }
    });
}

fn name(number: i64, name: &str) -> Outcome {
    raw::call(number, &[name.as_ptr() as i64, name.len() as i64])
}

/// Names of a namespace of its own, which takes the names of this host along when it goes.
fn names() {
    as_nobody(|| {
        refused(name(libc::SYS_sethostname, "refused"));
        refused(name(libc::SYS_setdomainname, "refused.example"));
        raw::call(libc::SYS_unshare, &[CLONE_NEWUSER | CLONE_NEWUTS]).expect("unshare");
        name(libc::SYS_sethostname, "apart").expect("sethostname");
        name(libc::SYS_setdomainname, "apart.example").expect("setdomainname");
    });
}

fn mount(source: &str, target: &str) -> Outcome {
    let (source, target) = (c(source.as_bytes()), c(target.as_bytes()));
    let kind = c"tmpfs".as_ptr() as i64;
    raw::call(libc::SYS_mount, &[source.as_ptr() as i64, target.as_ptr() as i64, kind, 0, 0])
}

/// Takes a mount namespace of its own, of which nothing gets out.
fn private_mounts() {
    raw::call(libc::SYS_unshare, &[i64::from(libc::CLONE_NEWNS)]).expect("unshare");
    let flags = (libc::MS_REC | libc::MS_PRIVATE) as i64;
    raw::call(libc::SYS_mount, &[0, c"/".as_ptr() as i64, 0, flags, 0]).expect("private");
}

fn mounts() {
    private_mounts();
    mount("audited", "/srv").expect("mount");
    let at = c"/srv".as_ptr() as i64;
    raw::call(libc::SYS_umount2, &[at, 0]).expect("umount");
    let context = raw::call(raw::FSOPEN, &[c"tmpfs".as_ptr() as i64, 0]).expect("fsopen");
    raw::call(raw::FSCONFIG, &[context, 6, 0, 0, 0]).expect("fsconfig");
    let made = raw::call(raw::FSMOUNT, &[context, 0, 0]).expect("fsmount");
    raw::call(raw::MOVE_MOUNT, &[made, c"".as_ptr() as i64, -100, at, 4]).expect("move_mount");
    as_nobody(|| refused(mount("audited", "/srv")));
}

/// Refused before anything is looked at.
fn modules() {
    as_nobody(|| {
        let texts = [c(b"one=1"), c(b"two=2"), c(b"nothing")];
        let [one, two, nothing] = texts.each_ref().map(|text| text.as_ptr() as i64);
        refused_or_absent(raw::call(libc::SYS_init_module, &[0, 0, one]));
        refused_or_absent(raw::call(libc::SYS_finit_module, &[-1, two, 1]));
        refused_or_absent(raw::call(libc::SYS_delete_module, &[nothing, 0]));
    });
}

fn objects() {
    private_mounts();
    mount("audited", "/srv").expect("mount");
    let fifo = i64::from(libc::S_IFIFO | 0o600);
    raw::call(libc::SYS_mknod, &[c"/srv/node".as_ptr() as i64, fifo, 0]).expect("mknod");
    let outcome = raw::call(libc::SYS_landlock_restrict_self, &[-1, 0]);
    assert!(matches!(outcome, Err(libc::EBADF | libc::EOPNOTSUPP)), "{outcome:?}");
}

/// What row 48 lists.
fn power() {
    tracing();
    bpf();
    namespaces();
    let change = raw::call(libc::SYS_personality, &[0x40000]);
    assert_eq!(change, Ok(0), "what it was");
    // UFFD_USER_MODE_ONLY.
    raw::call(libc::SYS_userfaultfd, &[1]).expect("userfaultfd");
    let mut parameters = [0_u32; 30];
    raw::call(libc::SYS_io_uring_setup, &[1, parameters.as_mut_ptr() as i64]).expect("io_uring_setup");
    as_nobody(|| {
        refused(raw::call(libc::SYS_socket, &[i64::from(libc::AF_PACKET), i64::from(libc::SOCK_RAW), 0]));
        // In memory for certain: the kernel refuses before it reads them.
        let (accounts, swap) = (c(b"/srv/acct"), c(b"/srv/swap"));
        refused(raw::call(libc::SYS_acct, &[accounts.as_ptr() as i64]));
        refused(raw::call(libc::SYS_swapon, &[swap.as_ptr() as i64, 0]));
        refused(raw::call(libc::SYS_swapoff, &[swap.as_ptr() as i64]));
    });
    raw::call(libc::SYS_chroot, &[c"/srv".as_ptr() as i64]).expect("chroot");
}

/// Another process is held, written to and let go.
fn tracing() {
    let word = 1_u64;
    let at = (&raw const word) as i64;
    let pid = raw::fork();
    if pid == 0 {
        loop {
            let _ = raw::call(libc::SYS_pause, &[]);
        }
    }
    let target = i64::from(pid);
    raw::call(libc::SYS_ptrace, &[i64::from(libc::PTRACE_ATTACH), target, 0, 0]).expect("attach");
    raw::wait(pid);
    raw::call(libc::SYS_ptrace, &[i64::from(libc::PTRACE_POKEDATA), target, at, 2]).expect("poke");
    let (from, to) = ([at, 8], [at, 8]);
    let parts = [target, from.as_ptr() as i64, 1, to.as_ptr() as i64, 1, 0];
    assert_eq!(raw::call(libc::SYS_process_vm_writev, &parts), Ok(8));
    raw::call(libc::SYS_kill, &[target, i64::from(libc::SIGKILL)]).expect("kill");
    while raw::wait(pid) & 0x7f != libc::SIGKILL {}
    as_nobody(|| refused(raw::call(libc::SYS_ptrace, &[i64::from(libc::PTRACE_ATTACH), 1, 0, 0])));
}

/// An array of one element, and a program that nobody may load.
fn bpf() {
    let mut attributes = [0_u8; 128];
    for (at, value) in [(0, 2_u8), (4, 4), (8, 8), (12, 1)] {
        attributes[at] = value;
    }
    attributes[28..35].copy_from_slice(b"audited");
    raw::call(libc::SYS_bpf, &[0, attributes.as_ptr() as i64, 128]).expect("map");
    as_nobody(|| {
        let mut attributes = [0_u8; 128];
        attributes[0] = 2;
        attributes[4] = 1;
        attributes[48..55].copy_from_slice(b"refused");
        refused(raw::call(libc::SYS_bpf, &[5, attributes.as_ptr() as i64, 128]));
    });
}

fn namespaces() {
    as_nobody(|| {
        let mnt = std::fs::File::open("/proc/self/ns/mnt").expect("mnt");
        let mnt = i64::from(std::os::fd::AsRawFd::as_raw_fd(&mnt));
        refused(raw::call(libc::SYS_setns, &[mnt, 0]));
        raw::call(libc::SYS_unshare, &[CLONE_NEWUSER | CLONE_NEWUTS]).expect("unshare");
        let uts = std::fs::File::open("/proc/self/ns/uts").expect("uts");
        let uts = i64::from(std::os::fd::AsRawFd::as_raw_fd(&uts));
        raw::call(libc::SYS_setns, &[uts, 0]).expect("setns");
    });
    let arguments = [CLONE_NEWUSER as u64, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0];
    for number in [libc::SYS_clone, libc::SYS_clone3] {
        let made = match number {
            libc::SYS_clone => raw::call(number, &[CLONE_NEWUSER | i64::from(libc::SIGCHLD), 0, 0, 0, 0]),
            _ => raw::call(number, &[arguments.as_ptr() as i64, 64]),
        };
        let pid = raw::fd_of(made);
        if pid == 0 {
            raw::leave(0);
        }
        assert_eq!(raw::wait(pid), 0);
    }
}

fn reboot(command: i64) -> Outcome {
    raw::call(libc::SYS_reboot, &[0xfee1_dead, 672_274_793, command, 0])
}

/// A restart of a pid namespace, which ends its first process; the machine's would be refused to a user of a namespace.
fn restarts() {
    as_nobody(|| {
        refused(reboot(0x4321_fedc));
        refused_or_absent(raw::call(libc::SYS_kexec_load, &[0, 0, 0, 0]));
        let line = c(b"quiet");
        refused_or_absent(raw::call(libc::SYS_kexec_file_load, &[-1, -1, 6, line.as_ptr() as i64, 0]));
        raw::call(libc::SYS_unshare, &[CLONE_NEWUSER | i64::from(libc::CLONE_NEWPID)]).expect("unshare");
        let status = child(|| {
            assert_eq!(raw::call(libc::SYS_getpid, &[]), Ok(1), "not in a namespace: never restart that");
            let _ = reboot(0x0123_4567);
        });
        assert_eq!(status & 0x7f, libc::SIGHUP, "the namespace was restarted");
    });
}
