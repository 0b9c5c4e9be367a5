//! Sites and shapes: where an operation takes place, and the many ways to name the same file there.

use std::ffi::CString;

use super::raw::{self, c};

pub const AT_FDCWD: i32 = -100;

/// A directory `parent/dir`, with a symbolic link `parent/link` to it and a directory `parent/other` beside it.
#[derive(Clone, Debug)]
pub struct Site {
    pub label: &'static str,
    /// What the caller's root is in the mount namespace: empty, or the jail of a chroot.
    pub prefix: Vec<u8>,
    pub parent: Vec<u8>,
    pub dir: Vec<u8>,
    pub link: Vec<u8>,
    pub other: Vec<u8>,
    pub parent_fd: i32,
    pub dir_fd: i32,
    /// /proc is at hand.
    pub has_proc: bool,
}

/// A way to name a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Absolute,
    AbsoluteMessy,
    AbsoluteLink,
    Relative,
    RelativeDot,
    FromParent,
    DotDot,
    LinkParent,
    LinkCwd,
    ProcFd,
    DirFd,
    DirFdParent,
    DirFdLink,
    DirFdIgnored,
}

pub const SHAPES: [Shape; 14] = [
    Shape::Absolute,
    Shape::AbsoluteMessy,
    Shape::AbsoluteLink,
    Shape::Relative,
    Shape::RelativeDot,
    Shape::FromParent,
    Shape::DotDot,
    Shape::LinkParent,
    Shape::LinkCwd,
    Shape::ProcFd,
    Shape::DirFd,
    Shape::DirFdParent,
    Shape::DirFdLink,
    Shape::DirFdIgnored,
];

impl Shape {
    /// Needs a call that takes a directory descriptor.
    pub fn needs_at(self) -> bool {
        matches!(self, Self::DirFd | Self::DirFdParent | Self::DirFdLink | Self::DirFdIgnored)
    }
}

/// One name of one file, and what the record must call it.
#[derive(Clone, Debug)]
pub struct Place {
    pub dir: i32,
    pub given: Option<CString>,
    /// The kernel's path of the base directory and the name as given; `None` when unreadable.
    pub named: Option<Vec<u8>>,
    /// Where it leads.
    pub real: Vec<u8>,
    /// Flags that a name-based event must carry.
    pub flags: Vec<&'static str>,
}

impl Place {
    /// Address of the name; a bad one when there is none.
    pub fn name(&self) -> i64 {
        self.given.as_ref().map_or(8, |given| given.as_ptr() as i64)
    }

    pub fn dir(&self) -> i64 {
        i64::from(self.dir)
    }

    /// A place named by hand, relative to the working directory or absolute.
    pub fn new(given: &[u8], named: Vec<u8>) -> Self {
        let flags = vec!["from_argument"];
        Self { dir: AT_FDCWD, given: Some(c(given)), real: named.clone(), named: Some(named), flags }
    }

    pub fn below(mut self, dir: i32) -> Self {
        self.dir = dir;
        self
    }

    pub fn flagged(mut self, flag: &'static str) -> Self {
        self.flags.push(flag);
        self
    }

    /// A name whose address the kernel can't read.
    pub fn faulty() -> Self {
        let flags = vec!["from_argument", "unresolved"];
        Self { dir: AT_FDCWD, given: None, named: None, real: Vec::new(), flags }
    }
}

/// `a/b`.
pub fn join(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut path = a.strip_suffix(b"/").unwrap_or(a).to_vec();
    path.push(b'/');
    path.extend_from_slice(b);
    path
}

impl Site {
    pub fn real(&self) -> Vec<u8> {
        join(&self.parent, &self.dir)
    }

    /// The name of `path` as a caller inside the site's root writes it.
    pub fn seen(&self, path: &[u8]) -> Vec<u8> {
        let inside = path.strip_prefix(self.prefix.as_slice()).expect("inside the root");
        if inside.is_empty() { b"/".to_vec() } else { inside.to_vec() }
    }

    /// Names `leaf` in this shape, changing the working directory where the shape needs it. `None` when too long.
    pub fn place(&self, shape: Shape, leaf: &[u8]) -> Option<Place> {
        let real = join(&self.real(), leaf);
        let through_link = join(&self.link, leaf);
        let below_dir = join(&self.dir, leaf);
        let plain = |given: &[u8], named: Vec<u8>| Place::new(given, named);
        let enter = |fd: i32| {
            raw::call(libc::SYS_fchdir, &[i64::from(fd)]).expect("fchdir");
        };
        let mut place = match shape {
            Shape::Absolute => plain(&self.seen(&real), real.clone()),
            Shape::AbsoluteMessy => {
                let mut given = b"//.".to_vec();
                given.extend(self.seen(&join(&self.parent, b"/./")));
                given.extend(below_dir);
                plain(&given, real.clone())
            }
            Shape::AbsoluteLink => {
                let path = join(&self.parent, &through_link);
                plain(&self.seen(&path), path)
            }
            Shape::Relative => {
                enter(self.dir_fd);
                plain(leaf, real.clone())
            }
            Shape::RelativeDot => {
                enter(self.dir_fd);
                plain(&join(b"./.", leaf), real.clone())
            }
            Shape::FromParent => {
                enter(self.parent_fd);
                plain(&below_dir, real.clone())
            }
            Shape::DotDot => {
                enter(self.parent_fd);
                let given = join(&join(&self.other, b".."), &below_dir);
                plain(&given, join(&self.parent, &given)).flagged("unresolved")
            }
            Shape::LinkParent => {
                enter(self.parent_fd);
                plain(&through_link, join(&self.parent, &through_link))
            }
            Shape::LinkCwd => {
                enter(self.parent_fd);
                raw::call(libc::SYS_chdir, &[c(&self.link).as_ptr() as i64]).expect("chdir");
                plain(leaf, real.clone())
            }
            Shape::ProcFd if !self.has_proc => return None,
            Shape::ProcFd => {
                let given = join(format!("/proc/self/fd/{}", self.dir_fd).as_bytes(), leaf);
                plain(&given, given.clone()).flagged("unresolved")
            }
            Shape::DirFd => plain(leaf, real.clone()).below(self.dir_fd),
            Shape::DirFdParent => plain(&below_dir, real.clone()).below(self.parent_fd),
            Shape::DirFdLink => plain(&through_link, join(&self.parent, &through_link)).below(self.parent_fd),
            Shape::DirFdIgnored => plain(&self.seen(&real), real.clone()).below(9999),
        };
        place.real = real;
        let length = place.given.as_ref().map_or(0, |given| given.as_bytes().len());
        (length < 4096).then_some(place)
    }
}
