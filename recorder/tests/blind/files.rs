//! The same few changes on file systems that others tell twice, by another path, or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{MS_BIND, fuse, mount, own_mounts};
use crate::support::record::Record;
use crate::workload::raw;

const FICLONE: i64 = 0x4004_9409;
const FICLONERANGE: i64 = 0x4020_940d;
const FIDEDUPERANGE: i64 = 0xc018_9436;
/// Bytes of the file that reflinks are made from.
const WHOLE: usize = 8192;
/// Bytes of a part of it.
const PART: usize = 4096;

/// What a row expects: kind, result, name below the place of the row, second name, bytes, flags.
type Row = (&'static str, &'static str, &'static str, &'static str, Option<usize>, &'static [&'static str]);

/// What [`round`] leaves, in order.
const ROUND: [Row; 9] = [
    ("file_create", "ok", "a", "", None, &[]),
    ("file_write", "ok", "a", "", Some(5), &["first"]),
    ("file_write", "ok", "a", "", Some(5), &["close"]),
    ("attr_mode", "ok", "a", "", None, &[]),
    ("file_rename", "ok", "a", "b", None, &[]),
    ("dir_create", "ok", "d", "", None, &[]),
    ("dir_delete", "ok", "d", "", None, &[]),
    ("file_delete", "ok", "b", "", None, &[]),
    ("file_delete", "ENOENT", "b", "", None, &[]),
];

fn round(at: &Path) {
    fs::write(at.join("a"), b"hello").expect("write");
    fs::set_permissions(at.join("a"), fs::Permissions::from_mode(0o600)).expect("mode");
    fs::rename(at.join("a"), at.join("b")).expect("rename");
    fs::create_dir(at.join("d")).expect("directory");
    fs::remove_dir(at.join("d")).expect("directory");
    fs::remove_file(at.join("b")).expect("remove");
    fs::remove_file(at.join("b")).expect_err("gone");
}

/// What a change of a file of the lower layer leaves: copying it up is no event.
const LOWER: [Row; 5] = [
    ("file_write", "ok", "lower", "", Some(4), &["first"]),
    ("file_write", "ok", "lower", "", Some(4), &["close"]),
    ("attr_mode", "ok", "other", "", None, &[]),
    ("file_rename", "ok", "lower", "moved", None, &[]),
    ("file_delete", "ok", "other", "", None, &[]),
];

/// Files on an overlay, one of them of its lower layer.
pub fn overlay(home: &Path) {
    own_mounts();
    let layers = ["lower", "upper", "work"].map(|name| home.join("layers").join(name));
    let [lower, upper, work] = layers.map(|path| path.to_str().expect("plain").to_owned());
    let data = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    let at = home.join("overlay");
    mount(Path::new("overlay"), &at, "overlay", 0, &data).expect("overlay");
    round(&at);
    let mut lower = OpenOptions::new().append(true).open(at.join("lower")).expect("open");
    lower.write_all(b"more").expect("write");
    drop(lower);
    fs::set_permissions(at.join("other"), fs::Permissions::from_mode(0o600)).expect("mode");
    fs::rename(at.join("lower"), at.join("moved")).expect("rename");
    fs::remove_file(at.join("other")).expect("remove");
}

/// A directory under a second path.
pub fn bind(home: &Path) {
    own_mounts();
    mount(&home.join("source"), &home.join("bind"), "", MS_BIND, "").expect("bind");
    round(&home.join("bind"));
}

/// A file system that a program serves.
pub fn served(home: &Path) {
    own_mounts();
    let at = home.join("fuse");
    let server = fuse::mount(&at);
    round(&at);
    let refused = File::create(at.join(fuse::REFUSED)).expect_err("the server refuses");
    assert_eq!(refused.raw_os_error(), Some(libc::EACCES));
    raw::call(libc::SYS_umount2, &[super::c_path(&at).as_ptr() as i64, 0]).expect("umount");
    server.join().expect("server");
}

/// Makes what the rows above need.
pub fn prepare(home: &Path) {
    for name in ["overlay", "bind", "fuse", "source", "layers/lower", "layers/upper", "layers/work"] {
        fs::create_dir_all(home.join(name)).expect("directory");
    }
    for name in ["lower", "other"] {
        fs::write(home.join("layers/lower").join(name), b"below").expect("write");
    }
}

fn said(event: &Record, key: &str, at: &Path) -> String {
    let Some(path) = event.text(key) else { return String::new() };
    let inside = Path::new(path).strip_prefix(at);
    inside.map_or_else(|_| path.to_owned(), |inside| inside.to_str().expect("plain").to_owned())
}

/// The changes below a place are these and no others.
fn assert_told(events: &[Record], at: &Path, rows: &[Row]) {
    let is_change = |event: &&Record| {
        ["file_", "dir_", "attr_", "node_"].iter().any(|kind| event.kind().starts_with(kind))
            && event.text("path").is_some_and(|path| Path::new(path).starts_with(at))
    };
    let told: Vec<_> = events
        .iter()
        .filter(is_change)
        .map(|event| {
            let (path, to) = (said(event, "path", at), said(event, "path_to", at));
            (event.kind(), event.result(), path, to, event.number("bytes"), event.flags())
        })
        .collect();
    let lines = |told: &[String]| told.join("\n");
    let shown: Vec<_> = told.iter().map(|told| format!("{told:?}")).collect();
    assert_eq!(told.len(), rows.len(), "below {}:\n{}", at.display(), lines(&shown));
    for (told, row) in told.iter().zip(rows) {
        let (kind, result, path, to, bytes, flags) = row;
        let same = (told.0, told.1, &*told.2, &*told.3) == (*kind, *result, *path, *to);
        let same = same && bytes.is_none_or(|bytes| told.4 == Some(bytes as u64));
        assert!(same && flags.iter().all(|flag| told.5.contains(flag)), "{row:?}:\n{}", lines(&shown));
    }
}

/// The rows of [`overlay`], [`bind`] and [`served`].
pub fn check(events: &[Record], home: &Path) {
    assert_told(events, &home.join("overlay"), &[&ROUND[..], &LOWER].concat());
    assert_told(events, &home.join("bind"), &ROUND);
    let refused: Row = ("file_denied", "EACCES", fuse::REFUSED, "", None, &["open"]);
    assert_told(events, &home.join("fuse"), &[&ROUND[..], &[refused]].concat());
    // Neither the layers nor the other path of a bound directory tell the same again.
    assert_told(events, &home.join("layers"), &[]);
    assert_told(events, &home.join("source"), &[]);
}

/// A case-insensitive directory, on a kernel that has them.
pub fn casefold(home: &Path) {
    own_mounts();
    let at = home.join("casefold");
    system("mount", &["-o", "loop", text(&home.join("image")), text(&at)]);
    fs::create_dir(at.join("any")).expect("directory");
    system("chattr", &["+F", text(&at.join("any"))]);
    fs::write(at.join("any/Name"), b"hello").expect("write");
    OpenOptions::new().append(true).open(at.join("any/NAME")).expect("open").write_all(b"!").expect("write");
    fs::remove_file(at.join("any/nAME")).expect("remove");
}

/// Makes the file system of [`casefold`].
pub fn prepare_casefold(home: &Path) {
    fs::create_dir(home.join("casefold")).expect("directory");
    File::create(home.join("image")).and_then(|file| file.set_len(64 << 20)).expect("image");
    system("mkfs.ext4", &["-q", "-O", "casefold", text(&home.join("image"))]);
}

/// The row of [`casefold`]: told by a name as somebody wrote it, never as a file that has none.
pub fn check_casefold(events: &[Record], home: &Path) {
    let rows: [Row; 6] = [
        ("file_create", "ok", "name", "", None, &[]),
        ("file_write", "ok", "name", "", Some(5), &["first"]),
        ("file_write", "ok", "name", "", Some(5), &["close"]),
        ("file_write", "ok", "name", "", Some(1), &["first"]),
        ("file_write", "ok", "name", "", Some(1), &["close"]),
        ("file_delete", "ok", "name", "", None, &[]),
    ];
    let at = home.join("casefold/any");
    let mut told: Vec<_> = events.iter().filter(|event| event.kind().starts_with("file_")).cloned().collect();
    for event in &mut told {
        let path = event.text("path").map(PathBuf::from).unwrap_or_default();
        if path.parent() == Some(&at) {
            assert!(!event.has_flag("deleted"), "{:?}", event.value);
            let name = path.file_name().expect("a name").to_ascii_lowercase();
            event.value["path"] = text(&at.join(name)).into();
        }
    }
    assert_told(&told, &at, &rows);
}

/// Reflinks of a whole file and of a part, one that is refused, one that the file system can't do, one without a change.
pub fn reflink(home: &Path) {
    own_mounts();
    let at = home.join("reflink");
    system("mount", &["-o", "loop", text(&home.join("image")), text(&at)]);
    fs::write(at.join("source"), vec![b'x'; WHOLE]).expect("write");
    let source = File::open(at.join("source")).expect("open");
    let ioctl = |target: &File, command: i64, argument: i64| {
        raw::call(libc::SYS_ioctl, &[target.as_raw_fd().into(), command, argument])
    };
    let from = i64::from(source.as_raw_fd());
    let whole = File::create(at.join("whole")).expect("create");
    ioctl(&whole, FICLONE, from).expect("reflink");
    drop(whole);
    let part = File::create(at.join("part")).expect("create");
    let range = [from, 0, PART as i64, 0];
    ioctl(&part, FICLONERANGE, range.as_ptr() as i64).expect("reflink");
    drop(part);
    let unwritable = File::open(at.join("whole")).expect("open");
    assert_eq!(ioctl(&unwritable, FICLONE, from), Err(libc::EBADF));
    let elsewhere = File::open(std::env::current_exe().expect("exe")).expect("open");
    let target = OpenOptions::new().write(true).open(at.join("part")).expect("open");
    assert_eq!(ioctl(&target, FICLONE, elsewhere.as_raw_fd().into()), Err(libc::EXDEV));
    // Start, length, one target: its descriptor and start, bytes that are the same, status.
    let one = [0_i64, PART as i64, 1, i64::from(target.as_raw_fd()), 0, 0, 0];
    ioctl(&source, FIDEDUPERANGE, one.as_ptr() as i64).expect("the same content");
}

/// Makes the file system of [`reflink`].
pub fn prepare_reflink(home: &Path) {
    fs::create_dir(home.join("reflink")).expect("directory");
    File::create(home.join("image")).and_then(|file| file.set_len(512 << 20)).expect("image");
    system("mkfs.xfs", &["-q", text(&home.join("image"))]);
}

/// The row of [`reflink`].
pub fn check_reflink(events: &[Record], home: &Path) {
    let rows: [Row; 10] = [
        ("file_create", "ok", "source", "", None, &[]),
        ("file_write", "ok", "source", "", Some(WHOLE), &["first"]),
        ("file_write", "ok", "source", "", Some(WHOLE), &["close"]),
        ("file_create", "ok", "whole", "", None, &[]),
        ("file_write", "ok", "whole", "", Some(WHOLE), &["first", "reflink"]),
        ("file_write", "ok", "whole", "", Some(WHOLE), &["close", "reflink"]),
        ("file_create", "ok", "part", "", None, &[]),
        ("file_write", "ok", "part", "", Some(PART), &["first", "reflink"]),
        ("file_write", "ok", "part", "", Some(PART), &["close", "reflink"]),
        ("file_write", "EBADF", "whole", "", None, &["reflink"]),
    ];
    assert_told(events, &home.join("reflink"), &rows);
}

fn text(path: &Path) -> &str {
    path.to_str().expect("plain")
}

fn system(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status();
    let status = status.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(status.success(), "{program} {arguments:?}: {status}");
}

/// Whether this kernel has case-insensitive directories.
pub fn has_casefold() -> bool {
    Path::new("/sys/fs/ext4/features/casefold").exists()
}

/// Whether this kernel has a file system with reflinks.
pub fn has_reflinks() -> bool {
    fs::read_to_string("/proc/filesystems").expect("/proc").lines().any(|line| line.trim() == "xfs")
}
