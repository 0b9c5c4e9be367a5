//! The writer on real files: order, rotation, refusals.

use std::path::{Path, PathBuf};

use super::{Immutable, Options, Writer};
use crate::store::directory::Directory;
use crate::store::format::{FrameKind, segment_flag};
use crate::store::reader::SegmentReader;
use crate::store::{FrameInput, StoreError};

const SECOND: i64 = 1_000_000_000;

struct Store {
    _keep: tempfile::TempDir,
    store: PathBuf,
    state: PathBuf,
}

fn fresh() -> Store {
    let keep = tempfile::tempdir().unwrap();
    let (store, state) = (keep.path().join("store"), keep.path().join("state"));
    Store { _keep: keep, store, state }
}

fn options(now: i64) -> Options {
    Options { immutable: Immutable::Off, ..Options::new([7; 16], now) }
}

/// Appends `count` lines at `t`.
fn append(writer: &mut Writer, count: u64, t: i64) -> Result<crate::store::Appended, StoreError> {
    let mut lines = Vec::new();
    let mut ends = Vec::new();
    for seq in writer.next_seq()..writer.next_seq() + count {
        lines.extend(format!("{{\"seq\":{seq},\"t\":{t}}}\n").into_bytes());
        ends.push(lines.len() as u32);
    }
    writer.append(&FrameInput { lines: &lines, ends: &ends, t_first: t, t_last: t, lost_total: 0 })
}

fn all_lines(store: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for segment in Directory::open(store).unwrap().segments() {
        let Some(mut reader) = SegmentReader::open(&segment.path).unwrap() else { continue };
        let mut raw = Vec::new();
        while let Some(frame) = reader.next_frame().unwrap() {
            frame.decompress(&mut raw).unwrap();
            lines.extend(String::from_utf8(raw.clone()).unwrap().lines().map(str::to_owned));
        }
        assert_eq!(reader.torn(), None);
    }
    lines
}

#[test]
fn what_was_appended_is_read_back_across_restarts() {
    let at = fresh();
    let (mut writer, recovery) = Writer::open(&at.store, &at.state, options(0)).unwrap();
    assert!(recovery.fresh && recovery.clean);
    assert_eq!((recovery.next_seq, recovery.epoch), (0, 1));
    let appended = append(&mut writer, 3, SECOND).unwrap();
    assert_eq!((appended.frame_no, appended.first_seq, appended.count), (0, 0, 3));
    writer.close(2 * SECOND).unwrap();

    let (mut writer, recovery) = Writer::open(&at.store, &at.state, options(3 * SECOND)).unwrap();
    assert!(recovery.clean && !recovery.fresh);
    assert_eq!((recovery.next_seq, recovery.next_frame, recovery.epoch), (3, 2, 2));
    assert_eq!((recovery.last_time, recovery.previous_boot), (Some(2 * SECOND), Some([7; 16])));
    append(&mut writer, 2, 4 * SECOND).unwrap();
    drop(writer);

    let (writer, recovery) = Writer::open(&at.store, &at.state, options(5 * SECOND)).unwrap();
    assert!(!recovery.clean && recovery.damage.is_none());
    assert_eq!(writer.next_seq(), 5);
    drop(writer);
    // Nothing was written between two starts, so the second has the same first frame.
    let (_writer, recovery) = Writer::open(&at.store, &at.state, options(6 * SECOND)).unwrap();
    assert_eq!(recovery.segment, "seg-0000000003.r001.krl.zst");
    let lines = all_lines(&at.store);
    assert_eq!(lines.len(), 5);
    assert!(lines[4].starts_with("{\"seq\":4,"));
}

#[test]
fn segments_end_by_size_and_by_age() {
    let at = fresh();
    let small = Options { segment_bytes: 2_000, ..options(0) };
    let (mut writer, _) = Writer::open(&at.store, &at.state, small).unwrap();
    for _ in 0..20 {
        append(&mut writer, 1, SECOND).unwrap();
    }
    let by_size = Directory::open(&at.store).unwrap().segments().len();
    assert!(by_size > 3, "{by_size}");
    for segment in Directory::open(&at.store).unwrap().segments() {
        let mut reader = SegmentReader::open(&segment.path).unwrap().unwrap();
        let mut length = reader.offset();
        while let Some(frame) = reader.next_header().unwrap().filter(|frame| !frame.header.is_seal()) {
            length = frame.offset + frame.header.frame_len();
        }
        assert!(length <= 2_000, "{length}");
    }
    append(&mut writer, 1, 3_700 * SECOND).unwrap();
    assert_eq!(Directory::open(&at.store).unwrap().segments().len(), by_size + 1);
    let set_back = append(&mut writer, 1, -3_700 * SECOND).unwrap();
    assert!(set_back.segment.starts_with(&format!("seg-{:010}", set_back.frame_no)));
    assert_eq!(all_lines(&at.store).len(), 22);
}

#[test]
fn a_reader_follows_a_live_segment() {
    let at = fresh();
    let (mut writer, recovery) = Writer::open(&at.store, &at.state, options(0)).unwrap();
    let mut reader = SegmentReader::open(&at.store.join(recovery.segment)).unwrap().unwrap();
    assert_eq!(reader.header().flags, segment_flag::EPOCH | segment_flag::NOT_APPEND_ONLY);
    assert!(reader.next_frame().unwrap().is_none());
    append(&mut writer, 2, SECOND).unwrap();
    assert_eq!(reader.next_frame().unwrap().map(|frame| frame.header.count), Some(2));
    assert!(reader.next_header().unwrap().is_none());
}

#[test]
fn a_heartbeat_is_a_frame_without_events() {
    let at = fresh();
    let (mut writer, _) = Writer::open(&at.store, &at.state, options(0)).unwrap();
    append(&mut writer, 2, SECOND).unwrap();
    let beat = writer.heartbeat(11 * SECOND, 4).unwrap();
    assert_eq!((beat.frame_no, beat.first_seq, beat.count), (1, 2, 0));
    append(&mut writer, 1, 12 * SECOND).unwrap();
    writer.close(13 * SECOND).unwrap();
    let segment = Directory::open(&at.store).unwrap().segments()[0].path.clone();
    let mut reader = SegmentReader::open(&segment).unwrap().unwrap();
    let mut headers = std::iter::from_fn(|| reader.next_header().unwrap()).map(|frame| frame.header);
    let (first, beat) = (headers.next().unwrap(), headers.next().unwrap());
    assert_eq!((beat.kind, beat.lost_total, beat.t_first), (FrameKind::Heartbeat, 4, 11 * SECOND));
    assert_ne!(first.next_pk, beat.next_pk);
    let (third, seal) = (headers.next().unwrap(), headers.next().unwrap());
    assert_eq!((third.first_seq, third.lost_total), (2, 4));
    assert!(seal.is_stop() && seal.next_pk == [0; 32]);
    assert_eq!(all_lines(&at.store).len(), 3);
}

#[test]
fn a_second_writer_is_refused_with_the_pid_of_the_first() {
    let at = fresh();
    let (_writer, _) = Writer::open(&at.store, &at.state, options(0)).unwrap();
    match Writer::open(&at.store, &at.state, options(0)) {
        Err(error @ StoreError::InUse { .. }) => {
            let message = error.to_string();
            assert!(message.contains(&format!("pid {}", std::process::id())), "{message}");
        }
        other => panic!("{:?}", other.map(|(_, recovery)| recovery)),
    }
}

#[test]
fn refuses_frames_whose_ends_do_not_fit_and_latches() {
    for (lines, ends) in
        [(&b""[..], &[][..]), (b"{}\n", &[2]), (b"{}\n{}\n", &[6]), (b"{}\n{}\n", &[3]), (b"\n", &[1])]
    {
        let at = fresh();
        let (mut writer, _) = Writer::open(&at.store, &at.state, options(0)).unwrap();
        let input = FrameInput { lines, ends, t_first: 0, t_last: 0, lost_total: 0 };
        assert!(matches!(writer.append(&input), Err(StoreError::Input(_))), "{lines:?}");
        assert!(matches!(append(&mut writer, 1, 0), Err(StoreError::Latched { .. })));
        assert!(matches!(writer.close(0), Err(StoreError::Latched { .. })));
    }
}
