//! Processes whose root directory is not the host's: behind chroot, and in a mount namespace with a root of its own.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::{c_path, mount, own_mounts, row};
use crate::support::record::{Record, started_by};
use crate::support::{LIMIT, Sandbox, wait_for};
use crate::workload::raw;

/// The program that is started inside.
const PROGRAM: &str = "program";
const MNT_DETACH: i64 = 2;

fn start() -> ! {
    let name = c_path(&Path::new("/").join(PROGRAM));
    let list = [name.as_ptr() as i64, 0];
    let failed = raw::call(libc::SYS_execve, &[name.as_ptr() as i64, list.as_ptr() as i64, 0]);
    panic!("execve: {failed:?}");
}

/// Goes behind chroot, makes a file and starts a program.
pub fn jail(home: &Path) -> ! {
    raw::call(libc::SYS_chroot, &[c_path(&home.join("jail")).as_ptr() as i64]).expect("chroot");
    std::env::set_current_dir("/").expect("cwd");
    fs::write("/inside", b"").expect("write");
    start()
}

/// Takes a root of its own as a container does, makes a file, and starts a program when it is told to.
pub fn pod(home: &Path) -> ! {
    own_mounts();
    let root = home.join("pod");
    std::env::set_current_dir(&root).expect("cwd");
    let (new, old) = (c_path(Path::new(".")), c_path(Path::new("old")));
    raw::call(libc::SYS_pivot_root, &[new.as_ptr() as i64, old.as_ptr() as i64]).expect("pivot_root");
    std::env::set_current_dir("/").expect("cwd");
    raw::call(libc::SYS_umount2, &[c_path(Path::new("/old")).as_ptr() as i64, MNT_DETACH]).expect("umount");
    fs::write("/inside", b"").expect("write");
    let _ = std::io::stdin().read(&mut [0]);
    start()
}

/// A mount that the host sees as well; it goes with the value.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = raw::call(libc::SYS_umount2, &[c_path(&self.0).as_ptr() as i64, MNT_DETACH]);
    }
}

/// What a process is said to have done with a root directory: kind, path or program, root.
fn told<'a>(events: &'a [Record], kind: &str, place: (&str, &str)) -> Vec<&'a Record> {
    let (key, value) = place;
    events.iter().filter(|event| event.kind() == kind && event.text(key) == Some(value)).collect()
}

fn assert_root(events: &[Record], kind: &str, place: (&str, &str), root: &Path) {
    let found = told(events, kind, place);
    assert_eq!(found.len(), 1, "{kind} {place:?}: {found:#?}");
    assert_eq!(found[0].text("root"), root.to_str(), "{:?}", found[0].value);
}

/// Both rows, from the start of the recorder to what it must have said.
pub fn run(sandbox: &Sandbox, home: &Path, program: &[u8]) {
    let (jail, pod) = (home.join("jail"), home.join("pod"));
    for root in [&jail, &pod] {
        fs::create_dir(root).expect("directory");
    }
    mount(Path::new("recorder-test"), &pod, "tmpfs", 0, "").expect("tmpfs");
    let mounted = Mounted(pod.clone());
    fs::create_dir(pod.join("old")).expect("directory");
    for root in [&jail, &pod] {
        crate::executable(&root.join(PROGRAM), program);
    }
    let daemon = sandbox.record();
    assert_eq!(row("jail", home).status().expect("run").code(), Some(7));
    let mut inside = row("pod", home).stdin(Stdio::piped()).spawn().expect("run");
    // The table of its mounts is there as long as the process is: containers live longer than this one would.
    wait_for("a file in the pod", LIMIT, || {
        let events = started_by(&sandbox.events(), u64::from(std::process::id()));
        (!told(&events, "file_create", ("path", "/inside")).is_empty()).then_some(())
    });
    drop(inside.stdin.take());
    assert_eq!(inside.wait().expect("wait").code(), Some(7));
    let (status, said) = daemon.stop();
    assert!(status.success(), "{status}\n{said}");
    drop(mounted);

    let all = sandbox.events();
    sandbox.assert_nothing_lost(&all);
    let events = started_by(&all, u64::from(std::process::id()));
    // Behind chroot paths are the host's; in a namespace of its own they are that namespace's.
    let path = |path: PathBuf| path.to_str().expect("plain").to_owned();
    assert_root(&events, "syscall", ("path", &path(jail.clone())), &jail);
    assert_root(&events, "file_create", ("path", &path(jail.join("inside"))), &jail);
    assert_root(&events, "exec", ("exe", &path(jail.join(PROGRAM))), &jail);
    assert_root(&events, "file_create", ("path", "/inside"), &pod);
    assert_root(&events, "exec", ("exe", &format!("/{PROGRAM}")), &pod);
    let ours = told(&events, "exec", ("exe", std::env::current_exe().expect("exe").to_str().expect("plain")));
    assert!(ours.iter().all(|event| event.value.get("root").is_none()), "the host's own root is not told");
}
