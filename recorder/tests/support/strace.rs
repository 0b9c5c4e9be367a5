//! An independent witness: `strace -ff -y -xx`, read back as the events that the record must hold.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::ledger::escape;

/// Options that make the output easy to read: one file per thread, paths of descriptors, every string in hex.
pub const OPTIONS: [&str; 8] =
    ["-ff", "-q", "-y", "-xx", "-s", "4200", "--absolute-timestamps=format:unix,precision:ns", "-o"];

/// One system call, or the end of a thread.
#[derive(Clone, Debug)]
pub struct Call {
    pub tid: u32,
    pub time: u64,
    pub name: String,
    pub arguments: Vec<String>,
    pub returned: String,
    /// Working directory at the call.
    pub cwd: Vec<u8>,
    /// Root directory at the call: empty, or that of a chroot.
    pub root: Vec<u8>,
    pub line: String,
}

/// An event by what both sides know of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seen {
    pub kind: String,
    pub result: String,
    pub path: String,
    pub path_to: String,
    /// exec: program and arguments; exit: code or signal.
    pub detail: String,
}

/// Reads every `PREFIX.tid` file, in order of time.
pub fn read(prefix: &Path, cwd: &Path) -> Vec<Call> {
    let directory = prefix.parent().expect("directory");
    let stem = format!("{}.", prefix.file_name().expect("name").to_string_lossy());
    let mut calls = Vec::new();
    for entry in std::fs::read_dir(directory).expect("directory").map(|entry| entry.expect("entry")) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(tid) = name.strip_prefix(&stem).and_then(|tid| tid.parse().ok()) else { continue };
        let text = std::fs::read_to_string(entry.path()).expect("trace");
        calls.extend(text.lines().filter_map(|line| parse(tid, line)));
    }
    calls.sort_by_key(|call| call.time);
    follow_directories(&mut calls, std::os::unix::ffi::OsStrExt::as_bytes(cwd.as_os_str()));
    calls
}

fn parse(tid: u32, line: &str) -> Option<Call> {
    let (time, rest) = line.split_once(' ')?;
    let (seconds, fraction) = time.split_once('.')?;
    let time = seconds.parse::<u64>().ok()? * 1_000_000_000 + fraction.parse::<u64>().ok()?;
    let line = rest.to_owned();
    if let Some(end) = rest.strip_prefix("+++ ") {
        let returned = end.trim_end_matches(" +++").to_owned();
        return Some(Call {
            tid,
            time,
            name: "+++".into(),
            arguments: vec![],
            returned,
            cwd: vec![],
            root: vec![],
            line,
        });
    }
    let (name, rest) = rest.split_once('(')?;
    let (arguments, returned) = rest.rsplit_once(" = ")?;
    let arguments = split(arguments.trim_end().strip_suffix(')')?);
    let returned = returned.to_owned();
    Some(Call { tid, time, name: name.to_owned(), arguments, returned, cwd: vec![], root: vec![], line })
}

/// Splits at commas that are not inside brackets of any sort.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_i32;
    for character in text.chars() {
        match character {
            '<' | '[' | '{' | '(' => depth += 1,
            // `=>` is an arrow, not a bracket.
            '>' if parts.last().is_some_and(|part| part.ends_with('=')) => {}
            '>' | ']' | '}' | ')' => depth -= 1,
            _ => {}
        }
        if character == ',' && depth == 0 {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).collect()
}

/// Gives each call its working directory: inherited at clone, changed by chdir, confirmed by `AT_FDCWD</...>`.
fn follow_directories(calls: &mut [Call], first: &[u8]) {
    let mut places: HashMap<u32, (Vec<u8>, Vec<u8>)> = HashMap::new();
    let mut links: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    for call in calls {
        let (cwd, root) = places.entry(call.tid).or_insert_with(|| (first.to_vec(), Vec::new()));
        for argument in call.arguments.iter().filter(|argument| argument.starts_with("AT_FDCWD<")) {
            let annotated = bracketed(argument).unwrap_or_default();
            *cwd = annotated.strip_suffix(b" (deleted)").unwrap_or(&annotated).to_vec();
        }
        call.cwd.clone_from(cwd);
        call.root.clone_from(root);
        let target =
            call.arguments.first().and_then(|name| quoted(name)).map(|name| call.named(&call.cwd, &name));
        let done = call.returned.starts_with('0');
        match (call.name.as_str(), target) {
            ("chdir", Some(target)) if done => {
                *cwd = match links.get(&target) {
                    Some(content) => lexical(&below(&[&target[..], b"/.."].concat(), content)),
                    None => lexical(&target),
                };
            }
            ("chroot", Some(target)) if done => *root = target,
            ("fchdir", None) if done => *cwd = bracketed(&call.arguments[0]).unwrap_or_default(),
            ("symlink", _) if done => {
                if let (Some(content), Some(name)) = (quoted(&call.arguments[0]), quoted(&call.arguments[1]))
                {
                    links.insert(call.named(&call.cwd, &name), content);
                }
            }
            _ => {}
        }
        if let Some(child) = child_of(call) {
            places.insert(child, (call.cwd.clone(), call.root.clone()));
        }
    }
}

/// The child that a call made.
pub fn child_of(call: &Call) -> Option<u32> {
    let makes = matches!(call.name.as_str(), "clone" | "clone3" | "fork" | "vfork");
    makes.then(|| call.returned.split(' ').next()?.parse().ok()).flatten()
}

/// Removes `..` and its victim; right only without links.
fn lexical(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
        if part == b".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    let mut path = vec![b'/'];
    path.extend(parts.join(&b'/'));
    path
}

/// Base and name as the record joins them: without `.` and empty components.
fn below(base: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = if name.first() == Some(&b'/') { Vec::new() } else { base.to_vec() };
    if path == b"/" {
        path.clear();
    }
    for part in name.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".") {
        path.push(b'/');
        path.extend_from_slice(part);
    }
    if path.is_empty() { b"/".to_vec() } else { path }
}

fn unhex(text: &str) -> Vec<u8> {
    text.split("\\x").filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}

/// `"\x61"` as bytes.
pub fn quoted(argument: &str) -> Option<Vec<u8>> {
    let text = argument.strip_prefix('"')?;
    text.strip_suffix('"').map(unhex)
}

/// `<\x2f>` as bytes, wherever it stands.
pub fn bracketed(argument: &str) -> Option<Vec<u8>> {
    let (_, rest) = argument.split_once('<')?;
    rest.split_once('>').map(|(inside, _)| unhex(inside))
}

/// Where a call has its names.
enum Layout {
    /// Name at this argument, below the working directory.
    Name(usize),
    /// Directory descriptor at this argument, name behind it.
    At(usize),
    /// The object's descriptor.
    Descriptor(usize),
}

use Layout::{At, Descriptor, Name};

/// Kind, first and second place of each call that changes something.
fn layout(call: &Call) -> Option<(&'static str, Layout, Option<Layout>)> {
    let one = |kind, first| Some((kind, first, None));
    let flags = |index: usize| call.arguments.get(index).map_or("", String::as_str);
    match call.name.as_str() {
        "mkdir" => one("dir_create", Name(0)),
        "mkdirat" => one("dir_create", At(0)),
        "unlink" => one("file_delete", Name(0)),
        "unlinkat" if flags(2).contains("AT_REMOVEDIR") => one("dir_delete", At(0)),
        "unlinkat" => one("file_delete", At(0)),
        "rmdir" => one("dir_delete", Name(0)),
        "rename" => Some(("file_rename", Name(0), Some(Name(1)))),
        "renameat" | "renameat2" => Some(("file_rename", At(0), Some(At(2)))),
        "link" => Some(("file_link", Name(0), Some(Name(1)))),
        "linkat" if flags(4).contains("AT_EMPTY_PATH") => Some(("file_link", Descriptor(0), Some(At(2)))),
        "linkat" => Some(("file_link", At(0), Some(At(2)))),
        "symlink" => one("file_symlink", Name(1)),
        "symlinkat" => one("file_symlink", At(1)),
        "mknod" => one("node_create", Name(0)),
        "mknodat" => one("node_create", At(0)),
        "truncate" => one("file_truncate", Name(0)),
        "ftruncate" | "fallocate" => one("file_truncate", Descriptor(0)),
        "chmod" => one("attr_mode", Name(0)),
        "fchmod" => one("attr_mode", Descriptor(0)),
        "fchmodat" => one("attr_mode", At(0)),
        "chown" | "lchown" => one("attr_owner", Name(0)),
        "fchown" => one("attr_owner", Descriptor(0)),
        "fchownat" if flags(4).contains("AT_EMPTY_PATH") => one("attr_owner", Descriptor(0)),
        "fchownat" => one("attr_owner", At(0)),
        "setxattr" | "lsetxattr" | "removexattr" | "lremovexattr" => one("attr_xattr", Name(0)),
        "fsetxattr" | "fremovexattr" => one("attr_xattr", Descriptor(0)),
        "utime" | "utimes" => one("attr_time", Name(0)),
        "utimensat" if flags(1) == "NULL" || flags(3).contains("AT_EMPTY_PATH") => {
            one("attr_time", Descriptor(0))
        }
        "futimesat" if flags(1) == "NULL" => one("attr_time", Descriptor(0)),
        "utimensat" | "futimesat" => one("attr_time", At(0)),
        "mount" => one("mount", Name(1)),
        "move_mount" => one("mount", At(2)),
        "umount2" => one("unmount", Name(0)),
        "ioctl" if flags(1).contains("SETFLAGS") || flags(1).contains("FSSETXATTR") => {
            one("attr_flags", Descriptor(0))
        }
        "mmap" if flags(3).contains("MAP_SHARED") && flags(2).contains("PROT_WRITE") => {
            one("file_map_write", Descriptor(4))
        }
        _ => None,
    }
}

impl Call {
    fn at(&self, index: usize) -> &str {
        self.arguments.get(index).map_or("", String::as_str)
    }

    /// `ok` or errno name; `None` for calls that did not happen or are to be made again.
    pub fn result(&self) -> Option<String> {
        if self.returned.starts_with('?') || self.name == "+++" {
            return None;
        }
        let mut words = self.returned.split(' ');
        if words.next() != Some("-1") {
            return Some("ok".to_owned());
        }
        words.next().filter(|word| !matches!(*word, "EAGAIN" | "EINTR")).map(str::to_owned)
    }

    /// A name below a directory, or below the caller's root when it is absolute.
    fn named(&self, base: &[u8], name: &[u8]) -> Vec<u8> {
        let inside = name.iter().position(|&byte| byte != b'/').unwrap_or(name.len());
        if inside > 0 { below(&self.root, &name[inside..]) } else { below(base, name) }
    }

    /// The path at a place, as the record spells it; empty when it can't be read.
    fn path(&self, layout: &Layout) -> String {
        let path = match layout {
            Name(index) => quoted(self.at(*index)).map(|name| self.named(&self.cwd, &name)),
            At(index) => quoted(self.at(index + 1)).map(|name| match self.at(*index) {
                directory if directory.starts_with("AT_FDCWD") => self.named(&self.cwd, &name),
                directory => match bracketed(directory) {
                    Some(base) => self.named(&base, &name),
                    None if name.first() == Some(&b'/') => self.named(b"", &name),
                    None => name,
                },
            }),
            Descriptor(index) => bracketed(self.at(*index)),
        };
        path.map_or_else(String::new, |path| escape(&path))
    }

    /// The open flags of an open, as strace spells them.
    fn open_flags(&self) -> Option<(&str, Layout)> {
        Some(match self.name.as_str() {
            "open" => (self.at(1), Name(0)),
            "creat" => ("O_WRONLY|O_CREAT|O_TRUNC", Name(0)),
            "openat" | "openat2" => (self.at(2), At(0)),
            _ => return None,
        })
    }
}

/// The events that a trace promises. An open that may create is `file_create` only when `existed` denies its path.
pub fn promised(calls: &[Call], mut existed: HashSet<String>) -> Vec<(Seen, Call)> {
    let mut seen = Vec::new();
    for call in calls {
        let Some(event) = event_of(call, &existed) else { continue };
        if event.result == "ok" {
            match event.kind.as_str() {
                "file_create" | "node_create" | "file_symlink" => drop(existed.insert(event.path.clone())),
                "file_delete" => drop(existed.remove(&event.path)),
                "file_rename" => move_names(&mut existed, &event.path, &event.path_to),
                "file_link" => drop(existed.insert(event.path_to.clone())),
                _ => {}
            }
        }
        seen.push((event, call.clone()));
    }
    seen
}

/// A rename takes everything below a directory along.
fn move_names(existed: &mut HashSet<String>, from: &str, to: &str) {
    let below = format!("{from}/");
    let moved: Vec<String> =
        existed.iter().filter(|path| *path == from || path.starts_with(&below)).cloned().collect();
    for path in moved {
        existed.insert(format!("{to}{}", path.strip_prefix(from).unwrap_or_default()));
        existed.remove(&path);
    }
}

fn event_of(call: &Call, existed: &HashSet<String>) -> Option<Seen> {
    let result = call.result()?;
    let event = |kind: &str, path: String| Seen {
        kind: kind.to_owned(),
        result: result.clone(),
        path,
        ..Seen::default()
    };
    if let Some((flags, place)) = call.open_flags() {
        let (creates, writes) =
            (flags.contains("O_CREAT"), flags.contains("O_WRONLY") || flags.contains("O_RDWR"));
        if result == "ok" {
            let path = bracketed(&call.returned).map_or_else(String::new, |path| escape(&path));
            let is_file = !path.starts_with("/dev/") && !path.starts_with("/proc/");
            return match () {
                () if !is_file => None,
                () if flags.contains("O_TMPFILE") => Some(event("file_create", path)),
                () if creates && !existed.contains(&path) => Some(event("file_create", path)),
                () if flags.contains("O_TRUNC") => Some(event("file_truncate", path)),
                () => None,
            };
        }
        let kind = match result.as_str() {
            "EACCES" | "EPERM" => "file_denied",
            _ if creates => "file_create",
            _ if writes || flags.contains("O_TRUNC") => "file_write",
            _ => return None,
        };
        return Some(event(kind, call.path(&place)));
    }
    if matches!(call.name.as_str(), "execve" | "execveat") {
        let (file, argv) = if call.name == "execve" { (0, 1) } else { (1, 2) };
        let kind = if result == "ok" { "exec" } else { "exec_failed" };
        let detail = quoted(call.at(file)).map(|file| escape(&file)).unwrap_or_default();
        let words = split(call.at(argv).trim_matches(['[', ']']));
        let words: Vec<String> =
            words.iter().filter_map(|word| quoted(word)).map(|word| escape(&word)).collect();
        return Some(Seen { detail, path_to: format!("{words:?}"), ..event(kind, String::new()) });
    }
    let (kind, first, second) = layout(call)?;
    let mut event = event(kind, call.path(&first));
    if let Some(second) = second {
        event.path_to = call.path(&second);
    } else if kind == "file_symlink" {
        event.path_to = quoted(call.at(0)).map(|content| escape(&content)).unwrap_or_default();
    }
    // By descriptor only what has a path outside the kernel's pseudo file systems counts.
    let is_pseudo = ["/proc/", "/sys/", "/dev/pts/"].iter().any(|root| event.path.starts_with(root));
    let is_out = matches!(first, Descriptor(_)) && (is_pseudo || !event.path.starts_with('/'));
    (!is_out || result != "ok").then_some(event)
}

/// Bytes written to each regular file by path, as far as the path says that it is one.
pub fn written(calls: &[Call]) -> HashMap<String, u64> {
    let mut sums = HashMap::new();
    for call in calls {
        let to = match call.name.as_str() {
            "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" | "sendfile" => 0,
            "splice" | "copy_file_range" => 2,
            _ => continue,
        };
        let count = call.returned.split(' ').next().and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
        let path = bracketed(call.at(to)).map(|path| escape(&path)).unwrap_or_default();
        let is_file =
            path.starts_with('/') && !["/dev/", "/proc/", "/sys/"].iter().any(|root| path.starts_with(root));
        if count > 0 && is_file {
            *sums.entry(path).or_insert(0) += count;
        }
    }
    sums
}

/// Processes (not threads) with their ends, by pid: `exit N` or `signal NAME`.
pub fn ends(calls: &[Call]) -> Vec<(u32, String)> {
    let threads: HashSet<u32> =
        calls.iter().filter(|call| call.line.contains("CLONE_THREAD")).filter_map(child_of).collect();
    let ended = calls.iter().filter(|call| call.name == "+++" && !threads.contains(&call.tid));
    ended.map(|call| (call.tid, call.returned.clone())).collect()
}
