//! The recorder dies at every write, at every sync, and at every byte: what was acknowledged stays, the next start goes
//! on behind it, and nobody is accused of tampering.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod scratch;

use std::path::Path;
use std::sync::Arc;

use recorder::config::Family;
use recorder::daemon::about::{Beginning, start};
use recorder::daemon::control::Shared;
use recorder::daemon::frame::Frame;
use recorder::daemon::last_failure::LastFailure;
use recorder::daemon::sink::Sink;
use recorder::event::{Body, Value};
use recorder::store::StoreError;
use recorder::store::format::{SegmentHeader, segment_flag};
use recorder::store::writer::{Options, Recovery, Writer};
use recorder::verify::finding::Kind;
use recorder::verify::report::Verdict;
use scratch::disk::{Disk, Partial, Plan};
use scratch::{SECOND, Scratch, append, edit, frames, lines, options, segments};

const EIO: i32 = 5;

/// Records until the plan strikes; gives the number of acknowledged events, and whether it came to its end.
fn record(scratch: &Scratch, plan: Plan) -> (u64, bool) {
    let small = Options { segment_bytes: 1_500, ..options() };
    let journal = Arc::default();
    let between = Disk::between(scratch, plan, &journal);
    let Ok((mut writer, recovery)) = Writer::open_on(&scratch.store(), &scratch.state(), small, between)
    else {
        return (0, false);
    };
    let mut acknowledged = recovery.next_seq;
    for _ in 0..5 {
        match append(&mut writer, 2) {
            Ok(appended) => acknowledged = appended.first_seq + u64::from(appended.count),
            Err(error) => {
                assert!(!matches!(error, StoreError::Latched { .. }), "{error}");
                assert!(matches!(append(&mut writer, 1), Err(StoreError::Latched { .. })));
                return (acknowledged, false);
            }
        }
    }
    (acknowledged, writer.close(0).is_ok())
}

/// The next start: goes on, and finds everything that was acknowledged.
fn start_again(scratch: &Scratch, acknowledged: u64, what: &str) -> Recovery {
    let (mut writer, recovery) = Writer::open(&scratch.store(), &scratch.state(), options()).unwrap();
    assert_eq!(recovery.damage, None, "{what}");
    assert!(recovery.next_seq >= acknowledged, "{what}: {recovery:?}");
    append(&mut writer, 1).unwrap();
    writer.close(0).unwrap();
    let lines = lines(&scratch.store());
    for (seq, line) in lines.iter().enumerate() {
        assert!(line.starts_with(&format!("{{\"seq\":{seq},")), "{what}: {line}");
    }
    assert_eq!(lines.len() as u64, recovery.next_seq + 1, "{what}");
    let report = scratch.verify();
    assert_eq!(report.verdict, Verdict::Unanchored, "{what}: {:#?}", report.findings);
    recovery
}

#[test]
fn failing_at_every_call_loses_nothing_acknowledged() {
    for partial in Partial::EACH {
        for chunk in [usize::MAX, 100] {
            let mut ended = false;
            let mut at = 0;
            while !ended {
                let scratch = Scratch::new();
                let plan = Plan { chunk, ..Plan::dies(at, partial) };
                let (acknowledged, end) = record(&scratch, plan);
                let recovery =
                    start_again(&scratch, acknowledged, &format!("call {at}, {partial:?}, {chunk}"));
                // The last frame may be there although nobody was told so.
                let may_be_clean = end || recovery.fresh || acknowledged == 10;
                assert!(recovery.clean || !end, "call {at}, {partial:?}");
                assert!(may_be_clean || !recovery.clean, "call {at}, {partial:?}");
                ended = end;
                at += 1;
            }
            assert!(at > 20, "{at}");
        }
    }
}

#[test]
fn failing_again_and_again_on_the_same_store() {
    let scratch = Scratch::new();
    let mut acknowledged = 0;
    for round in 0..60 {
        let plan = Plan::dies(round % 9, Partial::EACH[round % 4]);
        let (now, _) = record(&scratch, plan);
        acknowledged = acknowledged.max(now);
        let report = scratch.verify();
        assert_ne!(report.verdict, Verdict::Tampered, "round {round}: {:#?}", report.findings);
    }
    start_again(&scratch, acknowledged, "after all rounds");
}

/// Through the daemon's own writing thread, up to the start event of the next recorder.
#[test]
fn why_a_disk_failed_is_in_the_next_start() {
    let scratch = Scratch::new();
    let plan = Plan { errno: EIO, ..Plan::dies(6, Partial::Half) };
    let journal = Arc::default();
    let between = Disk::between(&scratch, plan, &journal);
    let (writer, recovery) = Writer::open_on(&scratch.store(), &scratch.state(), options(), between).unwrap();
    let shared = Shared::new(&scratch.store(), "0", recovery.next_frame);
    let sink = Sink::start(writer, Arc::clone(&shared), || 0).unwrap();
    let frame = || Frame { lines: b"{\"a\":1}\n".to_vec(), ends: vec![8], ..Frame::default() };
    while sink.send(frame(), 0).is_ok() {}
    let error = sink.finish().unwrap_err();
    assert!(matches!(&error, StoreError::Io { source, .. } if source.raw_os_error() == Some(EIO)), "{error}");
    assert_eq!(shared.status().failure, Some(error.to_string()));

    std::fs::create_dir(scratch.store().with_extension("state")).unwrap();
    let kept = LastFailure::of(&scratch.store());
    kept.keep(&anyhow::Error::new(error).context("recording stopped"));
    let (_, recovery) = Writer::open(&scratch.store(), &scratch.state(), options()).unwrap();
    assert!(!recovery.clean && recovery.damage.is_none(), "{recovery:?}");
    let beginning = Beginning {
        boot: "0",
        booted: 0,
        running: 0,
        failure: LastFailure::of(&scratch.store()).recall(),
        memory_locked: true,
        family: Family::Auto,
    };
    let Body::Recorder(values) = start(0, &beginning, &recovery, &[]).body else { unreachable!() };
    let (_, failure) = values.iter().find(|(key, _)| *key == "failure").unwrap();
    let Value::Text(failure) = failure else { unreachable!("{failure:?}") };
    let path = scratch.store().join("seg-0000000000.krl.zst").display().to_string();
    assert!(failure.contains(&path) && failure.contains("Input/output error"), "{failure}");
}

/// Two segments; the second is open. Gives the path of the second.
fn killed() -> (Scratch, std::path::PathBuf) {
    let scratch = Scratch::new();
    let mut writer = scratch.writer(1_000);
    append(&mut writer, 2).unwrap();
    append(&mut writer, 2).unwrap();
    drop(writer);
    let path = segments(&scratch.store()).pop().unwrap();
    (scratch, path)
}

/// Events in front of the segment and in its frames that end at `length` or before.
fn whole_events(path: &Path, length: usize) -> u64 {
    let header = SegmentHeader::decode(&std::fs::read(path).unwrap()).unwrap();
    let whole = frames(path).into_iter();
    let whole =
        whole.filter(|(offset, header)| offset + usize::try_from(header.frame_len()).unwrap() <= length);
    whole.map(|(_, header)| header.next_seq()).max().unwrap_or(header.first_seq)
}

#[test]
fn cut_at_every_byte() {
    let (_keep, path) = killed();
    let length = std::fs::read(&path).unwrap().len();
    for keep in 0..length {
        let (scratch, path) = killed();
        let events = whole_events(&path, keep);
        edit(&path, |bytes| bytes.truncate(keep));
        let before = scratch.verify();
        assert_eq!(before.verdict, Verdict::Unanchored, "byte {keep}: {:#?}", before.findings);
        let recovery = start_again(&scratch, events, &format!("byte {keep}"));
        assert_eq!(recovery.next_seq, events, "byte {keep}");
        let torn = scratch.verify().has(Kind::TornTail);
        assert_eq!(torn, recovery.torn_bytes > 0, "byte {keep}");
    }
}

#[test]
fn blocks_that_were_never_written_read_as_zeros() {
    let (_keep, path) = killed();
    let length = std::fs::read(&path).unwrap().len();
    let last = frames(&path).last().unwrap().0;
    // The file has its full length, but from some sector on (or from the last frame on) there is nothing in it.
    for from in (0..length).filter(|offset| offset % 512 == 0 || *offset == last) {
        let (scratch, path) = killed();
        edit(&path, |bytes| bytes[from..].fill(0));
        assert_ne!(scratch.verify().verdict, Verdict::Tampered, "from {from}");
        start_again(&scratch, whole_events_in_front(&scratch, &path), &format!("zeros from {from}"));
    }
}

fn whole_events_in_front(scratch: &Scratch, path: &Path) -> u64 {
    let in_front = segments(&scratch.store()).into_iter().filter(|segment| segment != path);
    in_front.flat_map(|segment| frames(&segment)).map(|(_, header)| header.next_seq()).max().unwrap_or(0)
}

#[test]
fn a_damaged_last_segment_is_told_and_never_written_to() {
    let (scratch, path) = killed();
    append(&mut scratch.writer(1 << 20), 2).unwrap();
    let last = segments(&scratch.store()).pop().unwrap();
    assert_ne!(last, path);
    let (offset, header) = frames(&last)[0];
    edit(&last, |bytes| bytes[offset + 290] ^= 1);
    let damaged = std::fs::read(&last).unwrap();

    let (mut writer, recovery) = Writer::open(&scratch.store(), &scratch.state(), options()).unwrap();
    assert!(recovery.damage.as_ref().unwrap().contains("SHA-256"), "{recovery:?}");
    assert!(!recovery.clean);
    append(&mut writer, 1).unwrap();
    writer.close(SECOND).unwrap();
    assert_eq!(std::fs::read(&last).unwrap(), damaged);
    let next = segments(&scratch.store()).pop().unwrap();
    let said = SegmentHeader::decode(&std::fs::read(&next).unwrap()).unwrap();
    assert_ne!(said.flags & segment_flag::PREVIOUS_DAMAGED, 0);
    let previous = said.previous.unwrap();
    assert_eq!((previous.length, previous.valid_length), (damaged.len() as u64, offset as u64));
    let report = scratch.verify();
    assert_eq!(report.verdict, Verdict::Tampered);
    assert!(report.has(Kind::PayloadHash) && !report.has(Kind::SegmentChanged), "{:#?}", report.findings);
    assert_eq!(header.count, 2);
}

#[test]
fn event_numbers_go_on_behind_a_hole() {
    let scratch = Scratch::new();
    let mut writer = scratch.writer(1 << 20);
    for _ in 0..4 {
        append(&mut writer, 2).unwrap();
    }
    drop(writer);
    let path = segments(&scratch.store()).pop().unwrap();
    for damage in [0, 100] {
        let (offset, _) = frames(&path)[0];
        edit(&path, |bytes| bytes[offset + damage] ^= 0x40);
        let (writer, recovery) = Writer::open(&scratch.store(), &scratch.state(), options()).unwrap();
        assert_eq!(recovery.next_seq, 8);
        assert!(recovery.damage.is_some());
        drop(writer);
        edit(&path, |bytes| bytes[offset + damage] ^= 0x40);
        std::fs::remove_file(segments(&scratch.store()).pop().unwrap()).unwrap();
    }
}

#[test]
fn verifying_while_recording_accuses_nobody() {
    let scratch = Scratch::new();
    let mut writer = scratch.writer(4_000);
    append(&mut writer, 1).unwrap();
    std::thread::scope(|scope| {
        let recording = scope.spawn(move || {
            for _ in 0..1_500 {
                append(&mut writer, 2).unwrap();
            }
        });
        let mut looks = 0;
        while !recording.is_finished() || looks == 0 {
            let report = scratch.verify();
            assert_eq!(report.verdict, Verdict::Unanchored, "{:#?}", report.findings);
            looks += 1;
        }
    });
    assert_eq!(scratch.verify().events, 3_001);
}
