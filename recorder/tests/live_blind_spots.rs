//! Where recorders are blind: programs without a file, in memory, behind a launcher, started by a thread, of another
//! word size, with more arguments than there is room for; file systems on others; other roots. A row each, and what the
//! record must say. docs/events.md has the table.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "test code, of which each test uses a part"
)]

mod blind;
mod support;
mod workload;

use std::ffi::CString;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use blind::{HOME, ROW, c_path, compat, files, own_mounts, record_rows, roots, row};
use support::Sandbox;
use support::record::{Record, started_by};
use workload::raw;

/// Arguments that are more than any record has room for, and how many there are with the program's name.
const MANY: usize = 18;
const LONG: usize = 100 * 1024;

/// A program of Linux for i386 that ends with code 7: header, one segment, `exit(7)` by `int 0x80`.
fn program_of_32_bits() -> Vec<u8> {
    let code = [0xb8, 1, 0, 0, 0, 0xbb, 7, 0, 0, 0, 0xcd, 0x80];
    let (base, start) = (0x0804_8000_u32, 84_u32);
    let length = start + u32::try_from(code.len()).expect("small");
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0".to_vec();
    for word in [1, base + start, 52, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    for half in [52_u16, 32, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    for word in [1, 0, base, base, length, length, 5, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}

fn executable(path: &Path, content: &[u8]) {
    std::fs::write(path, content).expect("write");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("mode");
}

fn true_program() -> Vec<u8> {
    std::fs::read("/bin/true").expect("/bin/true")
}

/// Starts an open file, which has no name.
fn start_open(fd: i32) -> ! {
    let words = [CString::new("nameless").expect("plain")];
    let list = [words[0].as_ptr() as i64, 0];
    let nothing = c"".as_ptr() as i64;
    let failed = raw::call(libc::SYS_execveat, &[fd.into(), nothing, list.as_ptr() as i64, 0, 0x1000]);
    panic!("execveat: {failed:?}");
}

/// Not a test: the process that the test below starts for each row, and that becomes another program.
#[test]
#[ignore = "root: cargo xtask test"]
fn blind_process() {
    let (Some(row), Some(home)) = (std::env::var_os(ROW), std::env::var_os(HOME)) else { return };
    let home = PathBuf::from(home);
    match row.to_str().expect("plain") {
        "memfd" => {
            let fd = raw::fd_of(raw::call(libc::SYS_memfd_create, &[c"secret".as_ptr() as i64, 0]));
            std::fs::write(format!("/proc/self/fd/{fd}"), true_program()).expect("memfd");
            start_open(fd)
        }
        "deleted" => {
            let path = home.join("gone");
            executable(&path, &true_program());
            let file = std::fs::File::open(&path).expect("open");
            std::fs::remove_file(&path).expect("remove");
            // The program is started by this descriptor.
            start_open(file.as_raw_fd())
        }
        "thread" => {
            let failed = std::thread::spawn(|| Command::new("/bin/true").arg("by a thread").exec()).join();
            panic!("exec: {failed:?}");
        }
        "misc" if !misc(&home) => println!("{NO_MISC}"),
        "misc" => {}
        "int80" => compat::make_directory(&home.join("by_int80")),
        "overlay" => files::overlay(&home),
        "bind" => files::bind(&home),
        "fuse" => files::served(&home),
        "casefold" => files::casefold(&home),
        "reflink" => files::reflink(&home),
        "jail" => roots::jail(&home),
        "pod" => roots::pod(&home),
        other => panic!("no such row: {other}"),
    }
}

/// Begins a program that only an entry of binfmt_misc can start.
const MISC: &str = "recorder-test-misc";
/// What a row says where nothing of the kind can be.
const NO_MISC: &str = "this kernel has no binfmt_misc";

/// An entry of the kernel's table of interpreters; it goes with the value.
struct Entry(PathBuf);

impl Drop for Entry {
    fn drop(&mut self) {
        let _ = std::fs::write(&self.0, "-1");
    }
}

/// Starts a program by an interpreter that the kernel was told of; false when it has no table of such.
fn misc(home: &Path) -> bool {
    own_mounts();
    let table = home.join("binfmt_misc");
    let mounted = blind::mount(Path::new("none"), &table, "binfmt_misc", 0, "");
    if mounted == Err(libc::ENODEV) {
        return false;
    }
    mounted.expect("binfmt_misc");
    let name = format!("{MISC}-{}", std::process::id());
    std::fs::write(table.join("register"), format!(":{name}:M::{name}::/bin/true:")).expect("register");
    let _entry = Entry(table.join(&name));
    let program = home.join("misc");
    executable(&program, name.as_bytes());
    assert!(Command::new(&program).status().expect("run").success());
    true
}

fn home_of(sandbox: &Sandbox) -> PathBuf {
    let home = sandbox.path().join("home");
    std::fs::create_dir(&home).expect("home");
    home
}

/// Whether events of this kind come from the object family here.
fn is_by_object(all: &[Record], kind: &str) -> bool {
    let start = all.iter().find(|event| event.kind() == "start").expect("start");
    start.value["object"].as_array().expect("list").iter().any(|word| word == kind)
}

#[test]
#[ignore = "root: cargo xtask test"]
fn a_file_system_on_another_is_told_once_by_the_path_that_was_used() {
    let sandbox = Sandbox::new();
    let home = home_of(&sandbox);
    files::prepare(&home);
    let (events, _) = record_rows(&sandbox, &home, &["overlay", "bind", "fuse"]);
    files::check(&events, &home);
}

#[test]
#[ignore = "root: cargo xtask test"]
fn a_reflink_is_a_write_of_its_target() {
    if !files::has_reflinks() {
        return println!("this kernel has no xfs");
    }
    let sandbox = Sandbox::new();
    let home = home_of(&sandbox);
    files::prepare_reflink(&home);
    let (events, _) = record_rows(&sandbox, &home, &["reflink"]);
    files::check_reflink(&events, &home);
}

#[test]
#[ignore = "root: cargo xtask test"]
fn a_case_insensitive_directory_is_told_by_its_names() {
    if !files::has_casefold() {
        return println!("this kernel has no case-insensitive directories; those of `cargo xtask vm` have");
    }
    let sandbox = Sandbox::new();
    let home = home_of(&sandbox);
    files::prepare_casefold(&home);
    let (events, _) = record_rows(&sandbox, &home, &["casefold"]);
    files::check_casefold(&events, &home);
}

#[test]
#[ignore = "root: cargo xtask test"]
fn another_root_is_told_by_the_path_that_the_host_has_for_it() {
    let sandbox = Sandbox::new();
    let home = home_of(&sandbox);
    roots::run(&sandbox, &home, &program_of_32_bits());
}

/// The one event of a program that a row started.
fn exec<'a>(events: &'a [Record], says: &str, is_it: impl Fn(&Record) -> bool) -> &'a Record {
    let found: Vec<_> = events.iter().filter(|event| event.kind() == "exec" && is_it(event)).collect();
    assert_eq!(found.len(), 1, "{says}: {found:#?}");
    found[0]
}

fn first_argument(event: &Record) -> Option<&str> {
    event.value["argv"].get(0)?.as_str()
}

#[test]
#[ignore = "root: cargo xtask test"]
fn no_way_to_start_a_program_is_a_blind_spot() {
    let sandbox = Sandbox::new();
    let home = home_of(&sandbox);
    std::fs::create_dir(home.join("binfmt_misc")).expect("directory");
    let (small, script) = (home.join("small"), home.join("script"));
    executable(&small, &program_of_32_bits());
    executable(&script, b"#!/bin/sh -e\nexit 3\n");
    let loader = "/lib64/ld-linux-x86-64.so.2";
    let daemon = sandbox.record();
    let mut has_misc = true;
    for name in ["memfd", "deleted", "thread", "misc", "int80"] {
        let output = row(name, &home).output().expect("run");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{name}: {said}");
        has_misc &= !said.contains(NO_MISC);
    }
    let code = |command: &mut Command| command.status().expect("run").code();
    assert_eq!(code(&mut Command::new(&small)), Some(7), "32-bit programs run on this kernel");
    assert_eq!(code(&mut Command::new(&script)), Some(3));
    assert_eq!(code(Command::new(loader).args(["/bin/true", "behind the loader"])), Some(0));
    let many = (0..MANY).map(|_| "x".repeat(LONG));
    assert_eq!(code(Command::new("/bin/true").arg0("many").args(many)), Some(0));
    let names = ["from", "to"].map(|name| home.join(name));
    std::fs::write(&names[0], b"").expect("write");
    let [from, to] = names.map(|name| c_path(&name));
    let whiteout = [-100, from.as_ptr() as i64, -100, to.as_ptr() as i64, 4];
    raw::call(libc::SYS_renameat2, &whiteout).expect("renameat2");
    let (status, said) = daemon.stop();
    assert!(status.success(), "{status}\n{said}");
    let all = sandbox.events();
    sandbox.assert_nothing_lost(&all);
    let events = started_by(&all, u64::from(std::process::id()));

    let in_memory = exec(&events, "memfd", |event| event.has_flag("memfd"));
    assert_eq!((in_memory.text("exe"), first_argument(in_memory)), (Some("/memfd:secret"), Some("nameless")));
    let gone = home.join("gone");
    let deleted = exec(&events, "deleted", |event| event.text("exe") == gone.to_str());
    assert!(deleted.has_flag("deleted"), "{:?}", deleted.value);
    let by_thread =
        exec(&events, "thread", |event| event.value["argv"].get(1) == Some(&"by a thread".into()));
    assert_eq!(by_thread.number("tid"), Some(by_thread.pid()), "the thread became the process");
    let compat = exec(&events, "32 bit", |event| event.text("exe") == small.to_str());
    assert!(compat.has_flag("compat"), "{:?}", compat.value);
    assert_eq!(events.iter().filter(|event| event.has_flag("compat")).count(), 1);
    let scripted = exec(&events, "script", |event| event.text("file") == script.to_str());
    assert_eq!(scripted.text("interp"), Some("/bin/sh"));
    if has_misc {
        let by_misc = exec(&events, "misc", |event| event.text("file") == home.join("misc").to_str());
        assert_eq!(by_misc.text("interp"), Some("/bin/true"));
    }
    compat::check(&events, &home.join("by_int80"), is_by_object(&all, "dir_create"));
    let launched =
        exec(&events, "loader", |event| event.value["argv"].get(2) == Some(&"behind the loader".into()));
    assert_eq!(launched.value["argv"].get(1), Some(&"/bin/true".into()), "the program behind the loader");
    let cut = exec(&events, "many", |event| first_argument(event) == Some("many"));
    assert_eq!(cut.number("argc"), Some(MANY as u64 + 1));
    assert!(cut.has_flag("cut"), "{:?}", cut.flags());
    let left = all.iter().find(|event| event.has_flag("whiteout")).expect("a whiteout");
    assert_eq!((left.kind(), left.text("path")), ("file_rename", from.to_str().ok()));
}
