//! A kind whose functions a kernel lacks, or doesn't let us hook, is taken from system calls, and only that kind.
#![cfg(feature = "capture")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::mem::offset_of;
use std::path::Path;

use recorder::capture::ring::{Reader, boot_ns};
use recorder::capture::{Capture, Choice, ProbeRow, Sizes, State};
use recorder_common::kind::Kind;
use recorder_common::sample::{Header, TaskId};

const SIZES: Sizes = Sizes { critical: 1 << 20, files: 1 << 20 };

fn attached<'a>(rows: &'a [ProbeRow], family: &'a str) -> impl Iterator<Item = &'a ProbeRow> {
    rows.iter().filter(move |row| row.state == State::Attached && row.family == family)
}

/// Families in force for a kind of the units.
fn families_of(rows: &[ProbeRow], kind: &str) -> Vec<&'static str> {
    let has = |family| attached(rows, family).any(|row| row.event.split(' ').any(|word| word == kind));
    ["object", "syscall"].into_iter().filter(|family| has(family)).collect()
}

/// How many samples of a kind this process left.
fn count(samples: &[Vec<u8>], kind: Kind) -> usize {
    let number = |sample: &[u8], at: usize| u32::from_ne_bytes(sample[at..at + 4].try_into().unwrap());
    let pid_at = offset_of!(Header, task) + offset_of!(TaskId, pid);
    let is_it = |sample: &&Vec<u8>| {
        number(sample, offset_of!(Header, kind)) & 0xffff == kind as u32
            && number(sample, pid_at) == std::process::id()
    };
    samples.iter().filter(is_it).count()
}

/// Tells some names from others.
type Picks = fn(&str) -> bool;

/// Makes, renames and removes a file while `capture` listens; gives what it heard.
fn heard(capture: &mut Capture, directory: &Path) -> Vec<Vec<u8>> {
    let mut reader = Reader::new(capture).unwrap();
    reader.discard();
    let [from, to] = ["from", "to"].map(|name| directory.join(name));
    std::fs::write(&from, "x").unwrap();
    std::fs::rename(&from, &to).unwrap();
    std::fs::remove_file(&to).unwrap();
    reader.last_batch(boot_ns()).samples().map(<[u8]>::to_vec).collect()
}

#[test]
#[ignore = "root: cargo xtask test"]
fn a_kind_whose_function_is_missing_is_taken_from_system_calls() {
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    // The second choice is a kernel without trampolines, or one without what all units share.
    let choices: [(Picks, Picks); 2] = [
        (|hook| hook == "fexit/vfs_unlink", |kind| ["file_delete", "dir_delete"].contains(&kind)),
        (|hook| hook == "fentry/mnt_want_write", |_| true),
    ];
    let mut has_object = false;
    for (without, falls_back) in choices {
        let mut capture = Capture::start_with(SIZES, Choice { without, ..Choice::default() }).unwrap();
        let rows = capture.rows().to_vec();
        // The first choice leaves the other kinds to it, where the kernel allows it.
        has_object |= attached(&rows, "object").next().is_some();
        for kind in ["file_delete", "dir_delete", "file_rename", "file_create", "dir_create", "mount"] {
            let expected = if has_object && !falls_back(kind) { "object" } else { "syscall" };
            assert_eq!(families_of(&rows, kind), [expected], "{kind}");
            let replaced: Vec<_> = rows
                .iter()
                .filter(|row| row.state == State::Replaced && row.event.split(' ').any(|word| word == kind))
                .collect();
            assert_eq!(replaced.len(), usize::from(expected == "syscall"), "{kind}: {replaced:#?}");
            for row in replaced {
                println!("{kind}: {} {}", row.hook, row.why.as_deref().unwrap_or_default());
                assert!(row.why.is_some(), "{row:?}");
            }
        }
        let samples = heard(&mut capture, directory.path());
        for kind in [Kind::FileCreate, Kind::FileRename, Kind::FileDelete] {
            assert_eq!(count(&samples, kind), 1, "{}: once, by one family", kind.name());
        }
    }
}
