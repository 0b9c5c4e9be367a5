//! Tests only: builds the bytes of a sample as a probe would.

use recorder_common::sample::FIXED;
use recorder_common::text::Tag;

use super::Task;

/// A sample under construction.
pub(crate) struct Builder {
    kind: u16,
    result: i32,
    flags: u64,
    args: [u64; 4],
    ino: u64,
    texts: Vec<(Tag, u8, Vec<u8>)>,
}

/// The task that every built sample has.
pub(crate) fn task() -> Task<'static> {
    Task {
        pid: 4242,
        tid: 4243,
        ppid: 4000,
        start: 5_000_000_001,
        parent_start: 4_000_000_001,
        comm: b"bash",
        uid: 1000,
        euid: 1000,
        gid: 100,
        egid: 100,
        loginuid: Some(1000),
        session: Some(3),
        cgroup_id: 77,
        mntns: 11,
        pidns: 12,
        ..Task::default()
    }
}

impl Builder {
    pub(crate) fn new(kind: u16) -> Self {
        Self { kind, result: 0, flags: 0, args: [0; 4], ino: 0, texts: Vec::new() }
    }

    pub(crate) fn result(self, result: i32) -> Self {
        Self { result, ..self }
    }

    pub(crate) fn flags(self, flags: u64) -> Self {
        Self { flags, ..self }
    }

    pub(crate) fn args(self, args: [u64; 4]) -> Self {
        Self { args, ..self }
    }

    pub(crate) fn inode(self, ino: u64) -> Self {
        Self { ino, ..self }
    }

    pub(crate) fn text(mut self, tag: Tag, flags: u8, bytes: &[u8]) -> Self {
        self.texts.push((tag, flags, bytes.to_vec()));
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.header();
        bytes.extend(self.ino.to_ne_bytes());
        bytes.extend(self.args.into_iter().flat_map(u64::to_ne_bytes));
        for number in [(8 << 20) | 1, 0o100_644_u32, 1000, 100] {
            bytes.extend(number.to_ne_bytes());
        }
        assert_eq!(bytes.len(), FIXED);
        for (tag, flags, text) in &self.texts {
            bytes.extend([*tag as u8, *flags]);
            bytes.extend(u16::try_from(text.len()).unwrap().to_ne_bytes());
            bytes.extend(text);
        }
        let length = u32::try_from(bytes.len()).unwrap();
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes
    }

    fn header(&self) -> Vec<u8> {
        let task = task();
        let mut bytes = vec![0; 4];
        bytes.extend(self.kind.to_ne_bytes());
        bytes.extend([0, u8::try_from(self.texts.len()).unwrap()]);
        bytes.extend(1u32.to_ne_bytes());
        bytes.extend(self.result.to_ne_bytes());
        for number in [7, 99, self.flags, task.start, task.parent_start, task.cgroup_id] {
            bytes.extend(number.to_ne_bytes());
        }
        let ids = [task.pid, task.tid, task.ppid, task.uid, task.euid, task.gid, task.egid];
        let more = [task.loginuid.unwrap(), task.session.unwrap(), task.mntns, task.pidns, 0];
        for number in ids.into_iter().chain(more) {
            bytes.extend(number.to_ne_bytes());
        }
        let mut comm = [0; 16];
        comm[..task.comm.len()].copy_from_slice(task.comm);
        bytes.extend(comm);
        bytes
    }
}
