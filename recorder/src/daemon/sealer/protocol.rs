//! The words between daemon and helper: one packet a request, with the descriptors it is about, and one packet back.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::store::medium::Protection;

/// Longest file name (`NAME_MAX`).
const NAME: usize = 255;
/// Longest request: the verb and a name.
const REQUEST: usize = 1 + NAME;
/// Length of an answer: what, and an errno.
pub(super) const REPLY: usize = 5;
/// Most descriptors that a request has.
const DESCRIPTORS: usize = 3;

/// What the daemon may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request<'a> {
    /// The descriptor is the store. Once.
    Store,
    /// Protect the second descriptor, which has this name in the directory that the first one is.
    Protect(Protection, &'a str),
    /// Remove the segment of this name, which is the second descriptor, from the store, which is the first; the third one
    /// is its tombstone.
    Remove(&'a str),
}

impl<'a> Request<'a> {
    pub(super) fn encode(self) -> Vec<u8> {
        match self {
            Self::Store => vec![0],
            Self::Protect(protection, name) => {
                let verb = match protection {
                    Protection::AppendOnly => 1,
                    Protection::Sealed => 2,
                };
                [&[verb], name.as_bytes()].concat()
            }
            Self::Remove(name) => [&[3], name.as_bytes()].concat(),
        }
    }

    /// `None` when the bytes are no request.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (verb, name) = bytes.split_first()?;
        let name = std::str::from_utf8(name).ok()?;
        match (*verb, is_plain(name)) {
            (0, _) if name.is_empty() => Some(Self::Store),
            (1, true) => Some(Self::Protect(Protection::AppendOnly, name)),
            (2, true) => Some(Self::Protect(Protection::Sealed, name)),
            (3, true) => Some(Self::Remove(name)),
            _ => None,
        }
    }
}

/// One component that leads nowhere else.
fn is_plain(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && name.len() <= NAME && !name.contains(['/', '\0'])
}

/// What the helper answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is done; or, as the first word, ready.
    Done,
    /// The system refused, with this errno.
    System(i32),
    /// What was asked is none of the requests, or has the wrong descriptors.
    Malformed,
    /// The store is not known yet, or is known already.
    Store,
    /// Neither a regular file nor a directory.
    Type,
    /// The file is not what has that name in the store.
    Elsewhere,
    /// The segment has no tombstone that stays.
    Tombstone,
    /// The helper has no right to set flags.
    NoRight,
    /// The flag is set, but somebody has the file open for writing or mapped to write.
    Held,
    /// The helper could not give up what it must not have, for this errno.
    Confine(i32),
}

impl Answer {
    pub(super) fn encode(self) -> [u8; REPLY] {
        let (word, errno) = match self {
            Self::Done => (0, 0),
            Self::System(errno) => (1, errno),
            Self::Malformed => (2, 0),
            Self::Store => (3, 0),
            Self::Type => (4, 0),
            Self::Elsewhere => (5, 0),
            Self::NoRight => (6, 0),
            Self::Confine(errno) => (7, errno),
            Self::Held => (8, 0),
            Self::Tombstone => (9, 0),
        };
        let [a, b, c, d] = errno.to_le_bytes();
        [word, a, b, c, d]
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let [word, errno @ ..] = <[u8; REPLY]>::try_from(bytes).ok()?;
        let errno = i32::from_le_bytes(errno);
        Some(match word {
            0 => Self::Done,
            1 => Self::System(errno),
            2 => Self::Malformed,
            3 => Self::Store,
            4 => Self::Type,
            5 => Self::Elsewhere,
            6 => Self::NoRight,
            7 => Self::Confine(errno),
            8 => Self::Held,
            9 => Self::Tombstone,
            _ => return None,
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::System(errno) => io::Error::from_raw_os_error(*errno).fmt(f),
            Self::Malformed => f.write_str("no such request"),
            Self::Store => f.write_str("the store is told once, and first"),
            Self::Type => f.write_str("neither a regular file nor a directory"),
            Self::Elsewhere => f.write_str("the file is not what has that name in the store"),
            Self::Tombstone => f.write_str("no immutable tombstone stands beside the segment"),
            Self::NoRight => f.write_str("it has no CAP_LINUX_IMMUTABLE"),
            Self::Held => f.write_str("somebody has it open for writing"),
            Self::Confine(errno) => {
                write!(f, "it can't give up its rights: {}", io::Error::from_raw_os_error(*errno))
            }
        }
    }
}

/// One packet as it came in.
pub(super) struct Packet {
    buffer: [u8; REQUEST + 1],
    length: usize,
    /// The descriptors that came with it.
    pub descriptors: Vec<OwnedFd>,
}

impl Packet {
    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

/// Sends a packet with descriptors.
pub(super) fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    loop {
        match sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            outcome => return Ok(outcome.map(drop)?),
        }
    }
}

/// Waits for a packet; `None` at the end of the line. One that is too long or has too many descriptors is empty.
pub(super) fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<Packet>> {
    let mut packet = Packet { buffer: [0; REQUEST + 1], length: 0, descriptors: Vec::new() };
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut into = [IoSliceMut::new(&mut packet.buffer)];
        match recvmsg(socket, &mut into, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            outcome => break outcome?,
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            packet.descriptors.extend(descriptors);
        }
    }
    let whole = !received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    packet.length = if whole { received.bytes.min(REQUEST + 1) } else { 0 };
    Ok(Some(packet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_back_as_they_were() {
        for request in [
            Request::Store,
            Request::Protect(Protection::AppendOnly, "seg-0000000000.krl.zst"),
            Request::Protect(Protection::Sealed, "000"),
            Request::Remove("seg-0000000000.krl.zst"),
        ] {
            assert_eq!(Request::decode(&request.encode()), Some(request));
        }
    }

    #[test]
    fn what_leads_elsewhere_is_no_request() {
        let long = [b"\x01".as_slice(), &[b'a'; 256]].concat();
        for bytes in [
            b"".as_slice(),
            b"\0x",
            b"\x01",
            b"\x02..",
            b"\x02.",
            b"\x02a/b",
            b"\x02a\0",
            b"\x03",
            b"\x03a/b",
            b"\x04a",
            b"\x01\xff",
            &long,
        ] {
            assert_eq!(Request::decode(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn answers_come_back_as_they_were() {
        for word in 0..10 {
            let answer = Answer::decode(&[word, 0, 0, 0, 0]).unwrap();
            assert_eq!(answer.encode(), [word, 0, 0, 0, 0]);
        }
        assert_eq!(Answer::decode(&Answer::System(28).encode()), Some(Answer::System(28)));
        assert_eq!(Answer::decode(&[10, 0, 0, 0, 0]), None);
        assert_eq!(Answer::decode(&[0]), None);
    }
}
