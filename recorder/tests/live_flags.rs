//! What the append-only and the immutable flag hold off, on each file system that a store may be on: the table in
//! docs/threat-model.md is what this prints.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a panic is how a test fails"
)]

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use recorder::daemon::privileges::is_held_for_writing;
use recorder::store::medium::{Files, Medium as _};
use recorder::store::writer::Immutable;
use rustix::fs::{FallocateFlags, IFlags, fallocate, ioctl_getflags, ioctl_setflags};

/// File systems, the program that makes one, and the Debian package it is in.
const KINDS: [(&str, &[&str], &str); 4] = [
    ("ext4", &["mkfs.ext4", "-q", "-F"], "e2fsprogs"),
    ("xfs", &["mkfs.xfs", "-q", "-f"], "xfsprogs"),
    ("btrfs", &["mkfs.btrfs", "-q", "-f"], "btrfs-progs"),
    ("tmpfs", &[], ""),
];
/// What xfs wants at least.
const SIZE: &str = "320M";

/// A file system of its own, gone at the end.
struct Disk {
    folder: tempfile::TempDir,
    at: PathBuf,
}

impl Disk {
    /// `Err` tells why there can be none here.
    fn new(kind: &str, make: &[&str], package: &str) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("recorder-test-").tempdir_in("/var/tmp").unwrap();
        let at = folder.path().join("mount");
        fs::create_dir(&at).unwrap();
        let mut mount = Command::new("mount");
        if let Some((program, arguments)) = make.split_first() {
            let image = folder.path().join("image");
            run(Command::new("truncate").args(["-s", SIZE]).arg(&image))?;
            run(Command::new(program).args(arguments).arg(&image))
                .map_err(|why| format!("{why} (Debian package {package})"))?;
            mount.args(["-t", kind, "-o", "loop"]).arg(&image);
        } else {
            mount.args(["-t", kind, "-o", "size=64m", "none"]);
        }
        run(mount.arg(&at))?;
        Ok(Self { folder, at })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("chattr").args(["-R", "-f", "-i", "-a"]).arg(&self.at).output();
        let _ = Command::new("umount").arg(&self.at).status();
        let _ = &self.folder;
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

const PAGE: usize = 4096;

/// A process with a shared, writable mapping of a file's first page: some kernels end it when it writes there.
struct Mapping {
    process: Child,
    file: PathBuf,
}

/// Maps, writes once, says so, and writes again when it is told to.
const MAP: &str = "import mmap,os,sys
f=os.open(sys.argv[1],os.O_RDWR|int(sys.argv[2]))
m=mmap.mmap(f,4096,mmap.MAP_SHARED,mmap.PROT_READ|mmap.PROT_WRITE)
m[0:1]=b'm'
print(flush=True)
sys.stdin.readline()
m[0:1]=b'M'";

impl Mapping {
    fn new(file: &Path, flags: i32) -> Option<Self> {
        let mut command = Command::new("python3");
        command.args(["-c", MAP]).arg(file).arg(flags.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("python3");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mapping = Self { process, file: file.to_owned() };
        (!line.is_empty()).then_some(mapping)
    }

    /// Writes through it, and looks whether the file has changed.
    fn changes(mut self) -> bool {
        drop(self.process.stdin.take());
        self.process.wait().unwrap();
        fs::read(&self.file).unwrap().first() == Some(&b'M')
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Descriptors and a mapping from before the flag.
struct Old {
    append: File,
    write: File,
    mapping: Mapping,
}

/// A file of one page, and what was opened before the flag was set.
fn made(path: &Path, flags: IFlags) -> Old {
    fs::write(path, vec![b'x'; PAGE]).unwrap();
    let open = |options: &mut OpenOptions| options.read(true).open(path).unwrap();
    let old = Old {
        append: open(OpenOptions::new().append(true)),
        mapping: Mapping::new(path, 0).unwrap(),
        write: open(OpenOptions::new().write(true)),
    };
    ioctl_setflags(&old.write, ioctl_getflags(&old.write).unwrap() | flags).unwrap();
    assert!(ioctl_getflags(&old.write).unwrap().contains(flags));
    old
}

/// What was tried with a flag, and whether it was refused.
fn tries(folder: &Path, flags: IFlags) -> Vec<(&'static str, bool)> {
    let path = folder.join(format!("file-{:x}", flags.bits()));
    let mut old = made(&path, flags);
    let other = folder.join("other");
    let append = |file: io::Result<File>| file.and_then(|mut file| file.write_all(b"y"));
    let rows = [
        ("a new descriptor for appending", append(OpenOptions::new().append(true).open(&path)).is_err()),
        ("a new descriptor for writing", OpenOptions::new().write(true).open(&path).is_err()),
        ("a new shared mapping to write through", Mapping::new(&path, libc::O_APPEND).is_none()),
        ("remove, rename, link", {
            let gone = fs::remove_file(&path).is_err();
            gone && fs::rename(&path, &other).is_err() && fs::hard_link(&path, &other).is_err()
        }),
        ("change mode", fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).is_err()),
        ("punch a hole through an old descriptor", {
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fallocate(&old.write, hole, 0, 512).is_err()
        }),
        ("truncate through an old descriptor", rustix::fs::ftruncate(&old.write, 2048).is_err()),
        ("append through an old descriptor", old.append.write_all(b"y").is_err()),
        ("write through an old descriptor", old.write.write_at(b"y", 0).is_err()),
        ("write through an old mapping", !old.mapping.changes()),
    ];
    rows.to_vec()
}

/// The recorder's own order on this file system: made new, flagged while empty, sealed at the end.
fn assert_a_segment_is_never_open_to_others(folder: &Path, kind: &str) {
    let path = folder.join("store");
    fs::create_dir(&path).unwrap();
    let directory = File::open(&path).unwrap();
    ioctl_setflags(&directory, ioctl_getflags(&directory).unwrap() | IFlags::APPEND).unwrap();
    let mut files = Files::new(directory.try_clone().unwrap().into(), path.clone(), Immutable::Required);
    files.begin("seg").unwrap();
    let segment = path.join("seg");
    // From the empty file on, nobody gets a descriptor or a mapping that could change what is written.
    for options in [OpenOptions::new().write(true), OpenOptions::new().read(true).write(true)] {
        assert!(options.open(&segment).is_err(), "{kind}");
    }
    let appending =
        OpenOptions::new().read(true).append(true).custom_flags(libc::O_CLOEXEC).open(&segment).unwrap();
    assert!(Mapping::new(&segment, libc::O_APPEND).is_none(), "{kind}");
    assert!(
        rustix::fs::fcntl_setfl(&appending, rustix::fs::OFlags::empty()).is_err(),
        "{kind}: O_APPEND stays"
    );
    assert_eq!(files.append(b"frame").unwrap(), 5);
    files.sync().unwrap();
    // The name can't be taken away to put another file in its place, either.
    assert!(fs::rename(&segment, path.join("x")).is_err() && fs::remove_file(&segment).is_err(), "{kind}");
    files.seal("seg").unwrap();
    assert!(OpenOptions::new().append(true).open(&segment).is_err(), "{kind}");
    // The daemon's own descriptor is closed, whatever the file system would make of it.
    assert!(files.append(b"more").is_err(), "{kind}");
    // Who kept one from before can be told: that is what the helper looks for when it seals.
    let reading = File::open(&segment).unwrap();
    assert_eq!(is_held_for_writing(reading.as_fd()), Some(true), "{kind}");
    println!(
        "{kind}: sealed, then through an old descriptor of another's: {:?}",
        (&appending).write_all(b"more")
    );
    drop(appending);
    assert_eq!(is_held_for_writing(reading.as_fd()), Some(false), "{kind}");
    files.seal("seg").unwrap();
    assert!(fs::read(&segment).unwrap().starts_with(b"frame"), "{kind}");
}

#[test]
#[ignore = "root: cargo xtask test"]
fn what_the_flags_hold_off_on_each_file_system() {
    let mut names = Vec::new();
    let mut rows: Vec<(String, Vec<bool>)> = Vec::new();
    for (kind, make, package) in KINDS {
        let disk = match Disk::new(kind, make, package) {
            Ok(disk) => disk,
            Err(why) => {
                println!("SKIPPED: {kind}: {why}");
                continue;
            }
        };
        for (flag, word) in [(IFlags::APPEND, "+a"), (IFlags::IMMUTABLE, "+i")] {
            for (what, refused) in tries(&disk.at, flag) {
                let row = format!("{word}: {what}");
                match rows.iter_mut().find(|(name, _)| *name == row) {
                    Some((_, cells)) => cells.push(refused),
                    None => rows.push((row, vec![refused])),
                }
            }
        }
        assert_a_segment_is_never_open_to_others(&disk.at, kind);
        names.push(kind);
    }
    for (row, cells) in &rows {
        let is_old = row.contains(" old ");
        for (kind, refused) in names.iter().zip(cells) {
            // Whatever is not refused needs a descriptor from before the flag, or is what append-only is for.
            let may_be_done = (is_old && *kind != "ext4") || row == "+a: a new descriptor for appending";
            let is_before = is_old && row.starts_with("+a");
            assert!(*refused || may_be_done || is_before, "{kind}: {row}");
        }
    }
    let mut table =
        format!("| tried as root | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for (row, cells) in &rows {
        let cells: Vec<_> =
            cells.iter().map(|refused| if *refused { "refused" } else { "**done**" }).collect();
        writeln!(table, "| {row} | {} |", cells.join(" | ")).unwrap();
    }
    println!("{table}");
}
