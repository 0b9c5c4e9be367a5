//! Samples as probes write them, whole and broken.

use proptest::prelude::*;
use recorder_common::sample::FIXED;

use super::*;
use crate::event::File;
use crate::event::sample_bytes::{Builder, task};

fn event(bytes: &[u8]) -> Event<'_> {
    match decode(bytes).unwrap().sample {
        Sample::Event(event) => event,
        Sample::Pam(call) => panic!("{call:?}"),
    }
}

fn file_of<'a>(event: &Event<'a>) -> File<'a> {
    match &event.body {
        Body::File(file) => file.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn header_and_task_are_read() {
    let bytes = Builder::new(Kind::Exit as u16).args([0x0309, 0, 0, 0]).bytes();
    let decoded = decode(&bytes).unwrap();
    assert_eq!((decoded.cpu, decoded.class, decoded.sequence), (1, Class::Critical, 7));
    let event = event(&bytes);
    assert_eq!((event.mono, event.kind, event.errno, event.flags), (99, Kind::Exit, 0, 0));
    assert_eq!(event.body, Body::Exit(Exit { code: 3, signal: 9 }));
    assert_eq!(event.task, Some(task()));
}

#[test]
fn exec_takes_arguments_and_flags_missing_ones() {
    let bytes = Builder::new(Kind::Exec as u16)
        .args([3, 0, 0, 0])
        .text(Tag::Exe, 0, b"vim\0bin\0usr\0")
        .text(Tag::Cwd, 0, b"")
        .text(Tag::Given, 0, b"./vim")
        .text(Tag::Interp, 0, b"./vim")
        .text(Tag::Argv, 0, b"vim\0\0-x\0")
        .bytes();
    let whole = event(&bytes);
    assert_eq!(whole.flags, 0);
    assert_eq!(whole.task.as_ref().and_then(|task| task.exe.as_deref()), Some(&b"/usr/bin/vim"[..]));
    let Body::Exec(exec) = whole.body else { panic!() };
    assert_eq!(exec.argv, [&b"vim"[..], b"", b"-x"]);
    assert_eq!(
        (exec.argc, exec.cwd.as_deref(), exec.file, exec.interp),
        (3, Some(&b"/"[..]), &b"./vim"[..], None)
    );

    let fewer = Builder::new(Kind::Exec as u16).args([9, 0, 0, 0]).text(Tag::Argv, 0, b"a\0b").bytes();
    assert_eq!(event(&fewer).flags, flag::CUT);
}

#[test]
fn file_numbers_follow_the_kind() {
    let of = |kind: Kind, flags: u64, args: [u64; 4]| {
        let bytes = Builder::new(kind as u16).flags(flags).args(args).inode(5).bytes();
        let event = event(bytes.leak());
        (file_of(&event), event.flags)
    };
    let (write, _) = of(Kind::FileWrite, flag::FIRST, [10, 4, 0, 0]);
    assert_eq!((write.bytes, write.calls), (Some(10), None));
    let (close, _) = of(Kind::FileWrite, flag::CLOSE, [10, 4, 0, 0]);
    assert_eq!((close.bytes, close.calls), (Some(10), Some(4)));
    assert_eq!(of(Kind::FileTruncate, 0, [0, 0, 77, 0]).0.bytes, Some(77));
    assert_eq!(of(Kind::FileMapWrite, 0, [4096, 0, 0, 0]).0.bytes, Some(4096));
    assert_eq!(of(Kind::AttrMode, 0, [0o755, 0, 0, 0]).0.mode_set, Some(0o755));
    let (owner, _) = of(Kind::AttrOwner, 0, [0xffff_ffff, 12, 0, 0]);
    assert_eq!((owner.owner_set, owner.group_set), (None, Some(12)));
    assert_eq!(of(Kind::AttrOwner, 0, [u64::MAX, 12, 0, 0]).0.owner_set, None);
    assert_eq!(of(Kind::AttrFlags, 0, [0x10, 0, 0x4008_6602, 0]).0.bits, Some(0x10));
    assert_eq!(of(Kind::AttrFlags, 0, [0x8, 0, 0x401c_5820, 0]).0.bits, Some(0x10), "FS_XFLAG_IMMUTABLE");
    assert_eq!(of(Kind::AttrMode, 0, [0o100_644, 0, 0, 0]).0.mode_set, Some(0o644));
    assert_eq!(of(Kind::AttrXattr, 0, [0, 0, 1, 0]).1, flag::REMOVED);
    assert_eq!(of(Kind::Mount, 0, [0x10, 0, 0, 0]).0.bits, Some(0x10));
    assert_eq!(write.inode.map(|inode| inode.ino), Some(5));
}

#[test]
fn two_paths_come_from_rename_link_and_symlink() {
    let rename = Builder::new(Kind::FileRename as u16)
        .text(Tag::Base, 0, b"tmp\0")
        .text(Tag::Name, 0, b"a")
        .text(Tag::BaseTo, 0, b"")
        .text(Tag::NameTo, TEXT_CUT_FLAG, b"/b")
        .bytes();
    let rename = event(&rename);
    let file = file_of(&rename);
    assert_eq!((file.path.as_deref(), file.path_to.as_deref()), (Some(&b"/tmp/a"[..]), Some(&b"/b"[..])));
    assert_eq!(rename.flags, flag::FROM_ARGUMENT | flag::CUT);

    let symlink = Builder::new(Kind::FileSymlink as u16)
        .text(Tag::Base, 0, b"tmp\0")
        .text(Tag::Name, 0, b"link")
        .text(Tag::Content, 0, b"../x")
        .bytes();
    let symlink = event(&symlink);
    let file = file_of(&symlink);
    assert_eq!(
        (file.path.as_deref(), file.path_to.as_deref()),
        (Some(&b"/tmp/link"[..]), Some(&b"../x"[..]))
    );
}

/// Two credentials as a probe writes them: ids, permitted, effective.
fn creds(before: ([u32; 8], u64), after: ([u32; 8], u64)) -> Vec<u8> {
    let one = |(ids, caps): ([u32; 8], u64)| {
        let ids: Vec<u8> = ids.into_iter().flat_map(u32::to_ne_bytes).collect();
        [ids, caps.to_ne_bytes().to_vec(), caps.to_ne_bytes().to_vec()].concat()
    };
    [one(before), one(after)].concat()
}

#[test]
fn credentials_tell_before_and_after() {
    let before = ([1000, 0, 0, 0, 100, 100, 100, 100], 1 << 7);
    let after = ([1000, 1000, 0, 1000, 100, 100, 100, 100], 0);
    let sample = Builder::new(Kind::Credential as u16).args([u64::MAX, 1000, u64::from(u32::MAX), 117]);
    let bytes = sample.text(Tag::Creds, 0, &creds(before, after)).bytes();
    let Body::Credential(told) = event(&bytes).body else { panic!() };
    assert_eq!((told.call, told.old, told.suid, told.fsuid), ("setresuid", [1000, 0, 100, 100], 0, 1000));
    assert_eq!(told.ids_set, [None, Some(("euid_set", 1000)), None]);
    assert_eq!((told.caps_gained, told.caps_lost, told.caps_set), (0, 1 << 7, None));

    let groups: Vec<u8> = [7_u32, 8].into_iter().flat_map(u32::to_ne_bytes).collect();
    let sample = Builder::new(Kind::Credential as u16).args([3, 0, 0, 116]);
    let bytes = sample.text(Tag::Creds, 0, &creds(after, after)).text(Tag::Groups, 0, &groups).bytes();
    let event = event(&bytes);
    let Body::Credential(told) = &event.body else { panic!() };
    assert_eq!(told.groups_set, Some(&groups[..]));
    assert_eq!(event.flags, flag::CUT, "three groups, of which two fitted");
}

#[test]
fn calls_to_the_kernel_keep_their_words() {
    let of = |kind: Kind, args: [u64; 4]| {
        let bytes = Builder::new(kind as u16).args(args).text(Tag::Label, 0, b"spy\0\0").bytes();
        let Body::System(system) = event(bytes.leak()).body else { panic!() };
        system
    };
    let bpf = of(Kind::Bpf, [5, 2, 41, 321]);
    assert_eq!(
        (bpf.call, bpf.command.as_deref(), bpf.bpf_type.as_deref()),
        ("bpf", Some("PROG_LOAD"), Some("kprobe"))
    );
    assert_eq!((bpf.id, bpf.name), (Some(41), Some(&b"spy"[..])));
    let map = of(Kind::Bpf, [0, 27, 9, 321]);
    assert_eq!((map.command.as_deref(), map.bpf_type.as_deref()), (Some("MAP_CREATE"), Some("ringbuf")));
    let clock = of(Kind::Clock, [0, 1_577_836_800, 5, 227]);
    assert_eq!((clock.time_set, clock.bits), (Some(1_577_836_800_000_000_005), None));
    assert_eq!(of(Kind::Clock, [0, u64::MAX, 5, 227]).time_set, None);
    assert_eq!(of(Kind::Clock, [0, 0, 0x4002, 159]).bits, Some(0x4002));
    let poke = of(Kind::Ptrace, [4, 77, 0, 101]);
    assert_eq!((poke.command.as_deref(), poke.target), (Some("POKETEXT"), Some(77)));
    assert_eq!(of(Kind::Ptrace, [0, 77, 0, 101]).target, None, "TRACEME names nobody");
    let write = of(Kind::Ptrace, [0, 77, 12, 311]);
    assert_eq!((write.call, write.target, write.bytes), ("process_vm_writev", Some(77), Some(12)));
    assert_eq!(of(Kind::Reboot, [0x0123_4567, 0, 0, 169]).command.as_deref(), Some("RESTART"));
    assert_eq!(of(Kind::Syscall, [17, 3, 0, 41]).command.as_deref(), Some("AF_PACKET SOCK_RAW"));
    assert_eq!(of(Kind::Syscall, [0x40000, 0, 0, 135]).bits, Some(0x40000));
}

const TEXT_CUT_FLAG: u8 = recorder_common::text::TEXT_CUT;

#[test]
fn every_text_has_its_place() {
    for tag in (1..=u8::MAX).map_while(|number| Tag::try_from(number).ok()) {
        let bytes = Builder::new(Kind::Exit as u16).text(tag, 0, b"x").bytes();
        assert!(decode(&bytes).is_ok(), "{tag:?}");
    }
}

#[test]
fn pam_calls_are_read() {
    let bytes = Builder::new(PAM_CALL)
        .result(7)
        .args([pam::AUTHENTICATE, 0xdead, 0, 0])
        .text(Tag::User, 0, b"alice")
        .bytes();
    let Sample::Pam(call) = decode(&bytes).unwrap().sample else { panic!() };
    assert_eq!((call.function, call.handle, call.result), (PamFunction::Authenticate, 0xdead, 7));
    assert_eq!(call.user, Some(&b"alice"[..]));
}

#[test]
fn lies_are_refused_with_their_place() {
    let refused = |builder: Builder| decode(&builder.bytes()).unwrap_err().to_string();
    let exit = || Builder::new(Kind::Exit as u16);
    assert_eq!(refused(Builder::new(999)), "kind at offset 4 can't be 999");
    assert_eq!(refused(Builder::new(Kind::Login as u16)), "kind at offset 4 can't be 48");
    assert_eq!(refused(exit().flags(1 << 60)), "flags at offset 32 can't be 1152921504606846976");
    assert_eq!(refused(exit().result(5)), "result at offset 12 can't be 5");
    assert_eq!(refused(exit().args([1 << 20, 0, 0, 0])), "exit code at offset 136 can't be 1048576");
    let unknown = Builder::new(Kind::Syscall as u16).args([0, 0, 0, 9999]);
    assert_eq!(refused(unknown), "call at offset 160 can't be 9999");
    let none = Builder::new(Kind::Credential as u16).args([0, 0, 0, 105]);
    assert!(refused(none).starts_with("sample ends inside credentials"));
    let twice = exit().text(Tag::Name, 0, b"a").text(Tag::Name, 0, b"b");
    assert_eq!(refused(twice), "second text with tag Name at offset 189");

    let mut bytes = exit().text(Tag::Name, 0, b"abc").bytes();
    assert_eq!(decode(&bytes[..100]).unwrap_err().to_string(), "length at offset 0 can't be 191");
    bytes.extend_from_slice(b"padding of the ring");
    assert!(decode(&bytes).is_ok());
    bytes[0] += 1;
    assert_eq!(decode(&bytes).unwrap_err(), DecodeError::Trailing { offset: 191, left: 1 });
    bytes[0] -= 2;
    let short = "sample ends inside text at offset 188: 3 bytes needed, 2 left";
    assert_eq!(decode(&bytes).unwrap_err().to_string(), short);
    bytes[FIXED] = 200;
    assert_eq!(decode(&bytes).unwrap_err().to_string(), "text tag at offset 184 can't be 200");
}

proptest! {
    #[test]
    fn no_bytes_at_all_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&bytes);
    }

    /// Right length and kind, so that the mutation reaches every reader behind them.
    #[test]
    fn no_damage_to_a_sample_makes_it_panic(
        kind in prop::sample::select(Kind::ALL),
        damage in prop::collection::vec((6usize..400, any::<u8>()), 0..8),
        tag in 1u8..=25,
        text in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let tag = Tag::try_from(tag).unwrap();
        let mut bytes = Builder::new(kind as u16).text(tag, 0, &text).text(Tag::Name, 0, b"x").bytes();
        for (at, value) in damage {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        let _ = decode(&bytes);
    }
}
