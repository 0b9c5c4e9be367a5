//! The history of one file: which events, of all those about its names, changed it. Follows renames of the file and of
//! the directories above it, names that replaced it, and hard links.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::Kind;
use crate::event::record::Record;

use super::change;

/// An event about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Position in the record.
    pub seq: u64,
    /// What happened.
    pub kind: Kind,
    /// Path as the host had it.
    pub path: Vec<u8>,
    /// New name.
    pub path_to: Option<Vec<u8>>,
    /// Two names were exchanged.
    pub is_exchange: bool,
    /// Device and inode, when the event has them.
    pub inode: Option<(String, u64)>,
}

/// A file under whatever names, by its place in a list.
type File = usize;

impl Fact {
    /// The fact of an event; `None` when it changed nothing.
    #[must_use]
    pub fn of(record: &Record<'_>) -> Option<Self> {
        let kind = record.kind.filter(|kind| record.is_ok() && change::verb(*kind).is_some())?;
        let is_name = matches!(kind, Kind::FileRename | Kind::FileLink);
        Some(Self {
            seq: record.seq,
            kind,
            path: record.path_bytes()?.into_owned(),
            path_to: record.path_to.as_ref().filter(|_| is_name).map(|path| path.bytes().into_owned()),
            is_exchange: record.has_flag("exchange"),
            inode: record.dev.as_ref().zip(record.ino).map(|(dev, ino)| (dev.as_str().to_owned(), ino)),
        })
    }

    /// Names that lead to further names of the file at `name`: its other end, when this renamed or linked it or a
    /// directory above it.
    #[must_use]
    pub fn other_name(&self, name: &[u8]) -> Option<Vec<u8>> {
        let to = self.path_to.as_deref()?;
        let forth = below(name, &self.path).map(|rest| [to, rest].concat());
        forth.or_else(|| below(name, to).map(|rest| [&self.path[..], rest].concat()))
    }
}

/// What of a path is behind a directory: empty for the directory itself.
fn below<'p>(path: &'p [u8], directory: &[u8]) -> Option<&'p [u8]> {
    path.strip_prefix(directory).filter(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Files and names while the facts are gone through.
#[derive(Debug, Default)]
struct Names {
    files: BTreeMap<Vec<u8>, File>,
    inodes: BTreeMap<(String, u64), File>,
    /// Of each file: its facts, and up to which fact it had the name that is asked for.
    facts: Vec<Vec<u64>>,
    had_name: Vec<Option<u64>>,
}

impl Names {
    fn fresh(&mut self) -> File {
        self.facts.push(Vec::new());
        self.had_name.push(None);
        self.facts.len() - 1
    }

    /// The file at a name. A name that is not known may be a further one of a file that is, by its inode.
    fn at(&mut self, path: &[u8], inode: Option<&(String, u64)>) -> File {
        if let Some(file) = self.files.get(path) {
            return *file;
        }
        let file = match inode.and_then(|inode| self.inodes.get(inode)) {
            Some(file) => *file,
            None => self.fresh(),
        };
        self.files.insert(path.to_vec(), file);
        file
    }

    fn note(&mut self, file: File, seq: u64) {
        if let Some(facts) = self.facts.get_mut(file)
            && facts.last() != Some(&seq)
        {
            facts.push(seq);
        }
    }

    /// Moves a name, and with a directory all names below it.
    fn rename(&mut self, from: &[u8], to: &[u8], is_exchange: bool) {
        let moved: Vec<(Vec<u8>, File)> = self.take_below(from);
        let replaced: Vec<(Vec<u8>, File)> = self.take_below(to);
        let put = |files: &mut BTreeMap<Vec<u8>, File>, moved: Vec<(Vec<u8>, File)>, to: &[u8]| {
            files.extend(moved.into_iter().map(|(rest, file)| ([to, &rest].concat(), file)));
        };
        put(&mut self.files, moved, to);
        if is_exchange {
            put(&mut self.files, replaced, from);
        }
    }

    fn take_below(&mut self, directory: &[u8]) -> Vec<(Vec<u8>, File)> {
        let meant: Vec<Vec<u8>> =
            self.files.keys().filter(|path| below(path, directory).is_some()).cloned().collect();
        let take = |path: Vec<u8>| {
            let file = self.files.remove(&path)?;
            Some((below(&path, directory)?.to_vec(), file))
        };
        meant.into_iter().filter_map(take).collect()
    }
}

/// The facts that changed what has, or later got, or then still had the name `target`. Facts must be in the record's
/// order.
#[must_use]
pub fn of_file(target: &[u8], facts: &[Fact]) -> BTreeSet<u64> {
    let mut names = Names::default();
    for fact in facts {
        let file = if is_birth(fact.kind) {
            let file = names.fresh();
            names.files.insert(fact.path.clone(), file);
            file
        } else {
            names.at(&fact.path, fact.inode.as_ref())
        };
        if let Some(inode) = &fact.inode {
            names.inodes.insert(inode.clone(), file);
        }
        names.note(file, fact.seq);
        let before = names.files.get(target).copied();
        match (fact.kind, &fact.path_to) {
            (Kind::FileRename, Some(to)) => {
                if let Some(replaced) = names.files.get(to).copied() {
                    names.note(replaced, fact.seq);
                }
                names.rename(&fact.path, to, fact.is_exchange);
            }
            (Kind::FileLink, Some(to)) => {
                names.files.insert(to.clone(), file);
            }
            (Kind::FileDelete | Kind::DirDelete, _) => {
                names.files.remove(&fact.path);
                if let Some(inode) = &fact.inode
                    && !names.files.values().any(|other| *other == file)
                {
                    names.inodes.remove(inode);
                }
            }
            _ => {}
        }
        let after = names.files.get(target).copied();
        if after.is_some()
            && after != before
            && let Some(file) = after
        {
            names.note(file, fact.seq);
        }
        for file in [before, after].into_iter().flatten() {
            if let Some(had) = names.had_name.get_mut(file) {
                *had = Some(fact.seq);
            }
        }
    }
    let of_target = names.facts.iter().zip(&names.had_name).filter_map(|(facts, had)| Some((facts, (*had)?)));
    of_target.flat_map(|(facts, had)| facts.iter().copied().filter(move |seq| *seq <= had)).collect()
}

/// Whether there was no such file before, whatever its inode was before it.
const fn is_birth(kind: Kind) -> bool {
    matches!(kind, Kind::FileCreate | Kind::DirCreate | Kind::NodeCreate | Kind::FileSymlink)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(seq: u64, kind: Kind, path: &str, path_to: &str, ino: u64) -> Fact {
        Fact {
            seq,
            kind,
            path: path.as_bytes().to_vec(),
            path_to: (!path_to.is_empty()).then(|| path_to.as_bytes().to_vec()),
            is_exchange: false,
            inode: (ino > 0).then(|| ("8:1".to_owned(), ino)),
        }
    }

    fn found(target: &str, facts: &[Fact]) -> Vec<u64> {
        of_file(target.as_bytes(), facts).into_iter().collect()
    }

    #[test]
    fn an_editor_that_replaces_the_file_is_followed_back_and_its_backup_is_not() {
        let facts = [
            fact(1, Kind::FileCreate, "/etc/a", "", 5),
            fact(2, Kind::FileWrite, "/etc/a", "", 5),
            fact(3, Kind::FileCreate, "/etc/a.new", "", 6),
            fact(4, Kind::FileWrite, "/etc/a.new", "", 6),
            fact(5, Kind::FileLink, "/etc/a", "/etc/a~", 5),
            fact(6, Kind::FileRename, "/etc/a.new", "/etc/a", 6),
            fact(7, Kind::FileWrite, "/etc/a~", "", 5),
            fact(8, Kind::AttrMode, "/etc/a", "", 6),
        ];
        assert_eq!(found("/etc/a", &facts), [1, 2, 3, 4, 5, 6, 8]);
        assert_eq!(found("/etc/a~", &facts), [1, 2, 5, 6, 7]);
    }

    #[test]
    fn hard_links_and_renamed_directories_are_followed() {
        let facts = [
            fact(1, Kind::FileCreate, "/srv/x/f", "", 5),
            fact(2, Kind::FileLink, "/srv/x/f", "/other", 5),
            fact(3, Kind::FileRename, "/srv/x", "/srv/y", 0),
            fact(4, Kind::FileWrite, "/other", "", 5),
            fact(5, Kind::FileWrite, "/srv/y/f", "", 5),
            fact(6, Kind::FileRename, "/srv/y/f", "/gone", 5),
            fact(7, Kind::FileWrite, "/gone", "", 5),
            fact(8, Kind::FileCreate, "/srv/y/g", "", 5),
        ];
        assert_eq!(found("/srv/y/f", &facts), [1, 2, 3, 4, 5, 6]);
        assert_eq!(found("/srv/y/g", &facts), [8]);
        assert_eq!(facts[2].other_name(b"/srv/y/f").unwrap(), b"/srv/x/f");
        assert_eq!(facts[2].other_name(b"/srv/yy"), None);
    }
}
