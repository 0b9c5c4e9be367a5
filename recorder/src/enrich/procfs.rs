//! The only reader of /proc. What it says may be old by the time it is read, so whoever asks about a process gets an
//! answer only when the start time shows that it is still the same process.

use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// Length of a clock tick of /proc in ns (`USER_HZ` is 100 on every supported machine).
const TICK_NS: u64 = 10_000_000;
/// Longest file read whole; a mount table of 10,000 mounts fits.
const FILE_MAX: u64 = 4 << 20;
/// Threads that are asked for the program of a process whose main thread has ended.
const THREADS: usize = 64;

/// A process as /proc and the kernel's events can both name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId {
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Start in clock ticks since boot: all that /proc tells of it.
    pub ticks: u64,
}

impl ProcessId {
    /// A process by its pid and exact start, boot-clock ns.
    #[must_use]
    pub const fn new(pid: u32, start: u64) -> Self {
        Self { pid, ticks: start / TICK_NS }
    }

    /// Whether both name one process: the pid was not reused when the start times agree within one tick.
    #[must_use]
    pub const fn is_same(self, other: Self) -> bool {
        self.pid == other.pid && self.ticks.abs_diff(other.ticks) <= 1
    }
}

/// A /proc, real or fake.
#[derive(Clone, Debug)]
pub struct Procfs {
    root: PathBuf,
}

impl Procfs {
    /// The /proc at this path.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Every process with its program, as far as it can be read.
    #[must_use]
    pub fn processes(&self) -> Vec<(ProcessId, Option<Vec<u8>>)> {
        let Ok(entries) = fs::read_dir(&self.root) else { return Vec::new() };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter_map(|pid| {
            let exe = self.program(pid);
            Some((ProcessId { pid, ticks: self.start_ticks(pid)? }, exe))
        })
        .collect()
    }

    /// A process of now.
    #[must_use]
    pub fn process(&self, pid: u32) -> Option<ProcessId> {
        Some(ProcessId { pid, ticks: self.start_ticks(pid)? })
    }

    /// The program of a process; `None` when it has none or is gone.
    #[must_use]
    pub fn exe(&self, process: ProcessId) -> Option<Vec<u8>> {
        let exe = self.program(process.pid)?;
        self.is_same(process).then_some(exe)
    }

    /// The cgroup v2 path of a process.
    #[must_use]
    pub fn cgroup(&self, process: ProcessId) -> Option<Vec<u8>> {
        let text = self.read(&format!("{}/cgroup", process.pid))?;
        let path = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"0::"))?;
        let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
        self.is_same(process).then(|| path.to_vec())
    }

    /// The root directory of a thread, as far as it can be named from here.
    #[must_use]
    pub fn root(&self, process: ProcessId, tid: u32) -> Option<Vec<u8>> {
        let root = fs::read_link(self.root.join(format!("{}/task/{tid}/root", process.pid))).ok()?;
        self.is_same(process).then(|| root.into_os_string().into_vec())
    }

    /// The mount table that a thread sees, when it is in this mount namespace: threads of one process need not agree.
    #[must_use]
    pub fn mountinfo_in(&self, process: ProcessId, tid: u32, mntns: u32) -> Option<Vec<u8>> {
        let text = self.read(&format!("{}/task/{tid}/mountinfo", process.pid))?;
        let is_there = self.namespace(&format!("{}/task/{tid}/ns/mnt", process.pid)) == Some(mntns);
        (is_there && self.is_same(process)).then_some(text)
    }

    /// The mount table that a process sees.
    #[must_use]
    pub fn mountinfo(&self, process: ProcessId) -> Option<Vec<u8>> {
        let text = self.read(&format!("{}/mountinfo", process.pid))?;
        self.is_same(process).then_some(text)
    }

    /// The mount table of this process.
    #[must_use]
    pub fn own_mountinfo(&self) -> Option<Vec<u8>> {
        self.read("self/mountinfo")
    }

    /// Inode number of this process's mount namespace.
    #[must_use]
    pub fn own_mntns(&self) -> Option<u32> {
        self.namespace("self/ns/mnt")
    }

    /// Inode number of a process's mount namespace.
    #[must_use]
    pub fn mntns(&self, pid: u32) -> Option<u32> {
        self.namespace(&format!("{pid}/ns/mnt"))
    }

    fn namespace(&self, name: &str) -> Option<u32> {
        let link = fs::read_link(self.root.join(name)).ok()?;
        link.to_str()?.strip_prefix("mnt:[")?.strip_suffix(']')?.parse().ok()
    }

    /// The pid was not reused.
    fn is_same(&self, process: ProcessId) -> bool {
        self.process(process.pid).is_some_and(|now| now.is_same(process))
    }

    fn start_ticks(&self, pid: u32) -> Option<u64> {
        let stat = self.read(&format!("{pid}/stat"))?;
        // The name in parentheses can hold anything, parentheses included; field 22 is the 20th behind it.
        let behind = stat.get(memchr::memrchr(b')', &stat)? + 2..)?;
        str::from_utf8(behind.split(|&byte| byte == b' ').nth(19)?).ok()?.trim_end().parse().ok()
    }

    /// The program of a process. A main thread that has ended has none, the others still run it.
    fn program(&self, pid: u32) -> Option<Vec<u8>> {
        let process = self.root.join(pid.to_string());
        Self::link(&process.join("exe")).or_else(|| {
            let threads = fs::read_dir(process.join("task")).ok()?;
            threads.flatten().take(THREADS).find_map(|thread| Self::link(&thread.path().join("exe")))
        })
    }

    fn link(path: &Path) -> Option<Vec<u8>> {
        let target = fs::read_link(path).ok()?;
        let target = target.into_os_string().into_vec();
        Some(match target.strip_suffix(b" (deleted)") {
            Some(path) => path.to_vec(),
            None => target,
        })
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let file = fs::File::open(self.root.join(name)).ok()?;
        file.take(FILE_MAX).read_to_end(&mut text).ok()?;
        Some(text)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A /proc made of files.
    pub(crate) struct FakeProc {
        pub(crate) directory: tempfile::TempDir,
    }

    impl FakeProc {
        pub(crate) fn new() -> Self {
            Self { directory: tempfile::tempdir().unwrap() }
        }

        pub(crate) fn procfs(&self) -> Procfs {
            Procfs::new(self.directory.path())
        }

        pub(crate) fn process(&self, pid: u32, ticks: u64, exe: Option<&str>) {
            let directory = self.directory.path().join(pid.to_string());
            fs::create_dir_all(&directory).unwrap();
            let zeros = "0 ".repeat(18);
            fs::write(directory.join("stat"), format!("{pid} (a) b) S {zeros}{ticks} 0 0\n")).unwrap();
            let _ = fs::remove_file(directory.join("exe"));
            if let Some(exe) = exe {
                symlink(exe, directory.join("exe")).unwrap();
            }
        }

        pub(crate) fn file(&self, name: &str, text: &str) {
            let path = self.directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn answers_only_for_the_same_process() {
        let fake = FakeProc::new();
        fake.process(10, 500, Some("/usr/bin/vim"));
        fake.process(11, 501, None);
        fake.file("10/cgroup", "1:cpu:/x\n0::/user.slice/a\n");
        let procfs = fake.procfs();
        let process = ProcessId::new(10, 5_009_999_999);
        assert_eq!(procfs.exe(process), Some(b"/usr/bin/vim".to_vec()));
        assert_eq!(procfs.cgroup(process), Some(b"/user.slice/a".to_vec()));
        assert_eq!(procfs.exe(ProcessId::new(10, 5_030_000_000)), None);
        assert_eq!(procfs.exe(ProcessId::new(12, 0)), None);
        let mut all = procfs.processes();
        all.sort();
        let threads = fake.directory.path().join("10/task/13");
        fs::create_dir_all(&threads).unwrap();
        symlink("/usr/bin/vim", threads.join("exe")).unwrap();
        fs::remove_file(fake.directory.path().join("10/exe")).unwrap();
        assert_eq!(procfs.exe(process), Some(b"/usr/bin/vim".to_vec()), "its main thread has ended");
        let expected = [(process, Some(b"/usr/bin/vim".to_vec())), (ProcessId { pid: 11, ticks: 501 }, None)];
        assert_eq!(all, expected);
    }

    #[test]
    fn the_real_proc_knows_this_test() {
        let procfs = Procfs::new(Path::new("/proc"));
        let this = std::process::id();
        let (id, exe) = procfs.processes().into_iter().find(|(id, _)| id.pid == this).unwrap();
        let own = std::env::current_exe().unwrap().into_os_string().into_vec();
        assert_eq!(exe, Some(own.clone()));
        assert_eq!(procfs.exe(id), Some(own));
        assert!(procfs.own_mntns().is_some());
        assert!(procfs.own_mountinfo().is_some());
    }
}
