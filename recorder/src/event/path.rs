//! Paths: joins what a probe walked (components from the leaf to the root) and what a caller named into absolute
//! paths. Never guesses: whatever can't be known becomes a flag beside the path.

use std::borrow::Cow;

use recorder_common::sample::flag;
use recorder_common::text::Tag;

use super::wire::{Text, Texts};

/// A path and the flags that it brings along.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Resolved<'a> {
    /// The path; `None` when the sample has no readable text for it.
    pub path: Option<Cow<'a, [u8]>>,
    /// Bits of [`flag`].
    pub flags: u64,
}

/// The path of the object: walked, or else the caller's name below its directory.
#[must_use]
pub fn of_object<'a>(texts: &Texts<'a>) -> Resolved<'a> {
    match texts.get(Tag::Object) {
        Some(object) => walked(object),
        None => match texts.get(Tag::Queue) {
            Some(queue) => queued(queue),
            None => named(texts.get(Tag::Base), texts.get(Tag::Name)),
        },
    }
}

/// A message queue, by the place where its file system is mounted by convention (`mq_overview(7)`). Nobody has looked
/// whether it is, so the path may name nothing.
fn queued<'a>(name: Text<'a>) -> Resolved<'a> {
    let mut flags = flag::UNRESOLVED;
    if name.is_cut() {
        flags |= flag::CUT;
    }
    let path = (!name.is_fault()).then(|| [b"/dev/mqueue/", name.bytes].concat().into());
    Resolved { path, flags }
}

/// The second path of a rename or link.
#[must_use]
pub fn of_target<'a>(texts: &Texts<'a>) -> Resolved<'a> {
    match texts.get(Tag::ObjectTo) {
        Some(object) => walked(object),
        None => named(texts.get(Tag::BaseTo), texts.get(Tag::NameTo)),
    }
}

/// A walked path. One that was cut lacks its beginning, so it does not start with `/`.
#[must_use]
pub fn walked<'a>(text: Text<'_>) -> Resolved<'a> {
    if text.is_fault() {
        return Resolved { path: None, flags: flag::UNRESOLVED };
    }
    let mut flags = 0;
    if text.is_cut() {
        flags |= flag::CUT;
    }
    if text.is_deleted() {
        flags |= flag::DELETED;
    }
    if text.is_unreachable() {
        flags |= if is_memfd(text.bytes) { flag::MEMFD } else { flag::UNRESOLVED };
    }
    if text.bytes.is_empty() {
        return Resolved { path: Some(Cow::Borrowed(b"/")), flags };
    }
    let mut path = Vec::with_capacity(text.bytes.len() + 1);
    push_walked(&mut path, text.bytes);
    if text.is_cut() && path.first() == Some(&b'/') {
        path.remove(0);
    }
    Resolved { path: Some(Cow::Owned(path)), flags }
}

/// The kernel knows a memfd as a lone entry `memfd:NAME` of a file system that is mounted nowhere.
fn is_memfd(walk: &[u8]) -> bool {
    let name = walk.strip_suffix(b"\0").unwrap_or(walk);
    name.starts_with(b"memfd:") && !name.contains(&0)
}

/// Appends `/` and each component, root first. The root itself appends nothing, and neither does the `/` that the
/// kernel calls an entry whose name it does not know.
fn push_walked(path: &mut Vec<u8>, walk: &[u8]) {
    let walk = walk.strip_suffix(b"\0").unwrap_or(walk);
    for component in walk.rsplit(|&byte| byte == 0).filter(|component| !matches!(*component, b"" | b"/")) {
        path.push(b'/');
        path.extend_from_slice(component);
    }
    if path.is_empty() {
        path.push(b'/');
    }
}

/// A caller's name below the directory it is relative to (for an absolute name, the caller's root).
fn named<'a>(base: Option<Text<'a>>, name: Option<Text<'a>>) -> Resolved<'a> {
    let Some(name) = name else {
        // A base alone: the call named the directory itself.
        return base.map_or_else(Resolved::default, walked);
    };
    let mut flags = flag::FROM_ARGUMENT;
    if name.is_cut() {
        flags |= flag::CUT;
    }
    if name.is_fault() {
        return Resolved { path: None, flags: flags | flag::UNRESOLVED };
    }
    // The address of a socket is read by its length, and its name ends at a NUL before that.
    let name = name.until_nul();
    let is_absolute = name.bytes.first() == Some(&b'/');
    let base = base.map(walked).unwrap_or_default();
    flags |= base.flags;
    let below = match base.path {
        Some(path) => path,
        None if is_absolute => Cow::Borrowed(&b"/"[..]),
        None => {
            return Resolved { path: Some(Cow::Borrowed(name.bytes)), flags: flags | flag::UNRESOLVED };
        }
    };
    if has_parent(name.bytes) {
        flags |= flag::UNRESOLVED;
    }
    if is_absolute && &*below == b"/" && is_plain(name.bytes) {
        return Resolved { path: Some(Cow::Borrowed(name.bytes)), flags };
    }
    let mut path = Vec::with_capacity(below.len() + 1 + name.bytes.len());
    path.extend_from_slice(below.strip_suffix(b"/").unwrap_or(&below));
    push_name(&mut path, name.bytes);
    Resolved { path: Some(Cow::Owned(path)), flags }
}

/// Removing `x/..` would be wrong behind a link, so it stays and is flagged.
fn has_parent(name: &[u8]) -> bool {
    memchr::memmem::find(name, b"..").is_some() && components(name).any(|component| component == b"..")
}

/// An absolute name that is already in its final form.
fn is_plain(name: &[u8]) -> bool {
    name.len() > 1
        && name.split(|&byte| byte == b'/').skip(1).all(|component| !matches!(component, b"" | b"."))
}

/// Appends a name without empty and `.` components.
fn push_name(path: &mut Vec<u8>, name: &[u8]) {
    for component in components(name) {
        path.push(b'/');
        path.extend_from_slice(component);
    }
    if path.is_empty() {
        path.push(b'/');
    }
}

fn components(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(|&byte| byte == b'/').filter(|component| !matches!(*component, b"" | b"."))
}

#[cfg(test)]
mod tests {
    use recorder_common::text::{TEXT_CUT, TEXT_DELETED, TEXT_FAULT, TEXT_UNREACHABLE};

    use super::*;

    fn texts<'a>(list: &[(Tag, &'a [u8], u8)]) -> Texts<'a> {
        let mut texts = Texts::default();
        for &(tag, bytes, flags) in list {
            assert!(texts.put(tag, Text::new(bytes, flags)));
        }
        texts
    }

    fn object(list: &[(Tag, &[u8], u8)]) -> (Option<String>, u64) {
        let resolved = of_object(&texts(list));
        (resolved.path.map(|path| String::from_utf8(path.into_owned()).unwrap()), resolved.flags)
    }

    fn path(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn walked_components_are_joined_from_the_root() {
        assert_eq!(object(&[(Tag::Object, b"hosts\0etc\0", 0)]), (path("/etc/hosts"), 0));
        assert_eq!(object(&[(Tag::Object, b"", 0)]), (path("/"), 0));
        assert_eq!(object(&[(Tag::Object, b"a b\n\0", TEXT_DELETED)]), (path("/a b\n"), flag::DELETED));
    }

    #[test]
    fn names_are_put_below_their_base() {
        let name =
            |base: &'static [u8], name: &'static [u8]| object(&[(Tag::Base, base, 0), (Tag::Name, name, 0)]);
        let from = flag::FROM_ARGUMENT;
        assert_eq!(name(b"", b"/etc/hosts"), (path("/etc/hosts"), from));
        assert_eq!(name(b"jail\0srv\0", b"/etc/hosts"), (path("/srv/jail/etc/hosts"), from));
        assert_eq!(name(b"me\0home\0", b"x/y"), (path("/home/me/x/y"), from));
        assert_eq!(name(b"", b"x"), (path("/x"), from));
        assert_eq!(name(b"", b"//a/./b//"), (path("/a/b"), from));
        assert_eq!(name(b"d\0", b"."), (path("/d"), from));
        assert_eq!(name(b"d\0", b""), (path("/d"), from));
        assert_eq!(name(b"", b"/"), (path("/"), from));
        assert_eq!(name(b"", b"./"), (path("/"), from));
        assert_eq!(name(b"d\0", b"../x"), (path("/d/../x"), from | flag::UNRESOLVED));
        assert_eq!(name(b"", b"/a/../x"), (path("/a/../x"), from | flag::UNRESOLVED));
        assert_eq!(name(b"", b"/a..b/..c"), (path("/a..b/..c"), from));
        assert_eq!(name(b"d\0", b"socket\0rest"), (path("/d/socket"), from), "an address ends at its NUL");
    }

    #[test]
    fn a_queue_is_called_by_its_conventional_place() {
        let flags = flag::UNRESOLVED;
        assert_eq!(object(&[(Tag::Queue, b"jobs", 0)]), (path("/dev/mqueue/jobs"), flags));
        assert_eq!(object(&[(Tag::Queue, b"jo", TEXT_CUT)]), (path("/dev/mqueue/jo"), flags | flag::CUT));
        assert_eq!(object(&[(Tag::Queue, b"", TEXT_FAULT)]), (None, flags));
    }

    #[test]
    fn what_is_not_known_is_flagged() {
        let from = flag::FROM_ARGUMENT;
        assert_eq!(object(&[]), (None, 0));
        assert_eq!(object(&[(Tag::Name, b"x", 0)]), (path("x"), from | flag::UNRESOLVED));
        assert_eq!(object(&[(Tag::Name, b"/x", 0)]), (path("/x"), from));
        assert_eq!(object(&[(Tag::Name, b"", TEXT_FAULT)]), (None, from | flag::UNRESOLVED));
        assert_eq!(object(&[(Tag::Object, b"", TEXT_FAULT)]), (None, flag::UNRESOLVED));
        assert_eq!(object(&[(Tag::Object, b"c\0b\0", TEXT_CUT)]), (path("b/c"), flag::CUT));
        let lost = object(&[(Tag::Object, b"x\0y\0", TEXT_UNREACHABLE)]);
        assert_eq!(lost, (path("/y/x"), flag::UNRESOLVED));
        let nameless = object(&[(Tag::Object, b"/\0", TEXT_UNREACHABLE)]);
        assert_eq!(nameless, (path("/"), flag::UNRESOLVED));
        let memfd = object(&[(Tag::Object, b"memfd:code\0", TEXT_UNREACHABLE)]);
        assert_eq!(memfd, (path("/memfd:code"), flag::MEMFD));
        let like = object(&[(Tag::Object, b"memfd:code\0", 0)]);
        assert_eq!(like, (path("/memfd:code"), 0), "a real file with such a name is no memfd");
    }
}
