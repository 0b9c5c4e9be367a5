//! What the helper does: hears requests, looks whether the file is one of the store, adds the flag (or removes a segment
//! that has its tombstone), answers.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Result, bail};
use rustix::fs::{AtFlags, FileType, Stat, fstat, statat};
use rustix::net::SocketType;
use rustix::net::sockopt::socket_type;

use super::confine;
use super::protocol::{self, Answer, Packet, Request};
use crate::daemon::privileges;
use crate::store::fixed::is_immutable;
use crate::store::format::parse_segment_name;
use crate::store::medium::{Protection, add_flag, remove_protected};
use crate::store::tombstone::tombstone_name;

/// How deep below the store a file may be.
const DEPTH: usize = 8;

/// Serves the daemon that is at the other end of stdin, until it closes that end.
///
/// # Errors
/// When stdin is no such line, or the line breaks.
pub fn run() -> Result<()> {
    let stdin = io::stdin();
    let socket = stdin.as_fd();
    if socket_type(socket) != Ok(SocketType::SEQPACKET) {
        bail!(
            "the sealing helper is started by the daemon and does nothing on its own; see `recorder daemon`"
        );
    }
    let ready = confine::give_up_everything();
    protocol::send(socket, &ready.encode(), &[])?;
    if ready != Answer::Done {
        return Ok(());
    }
    serve(socket)
}

fn serve(socket: BorrowedFd<'_>) -> Result<()> {
    let mut store = None;
    while let Some(packet) = protocol::receive(socket)? {
        let answer = answer(&mut store, packet);
        protocol::send(socket, &answer.encode(), &[])?;
    }
    Ok(())
}

/// The store, and the device that it is on.
struct Store(Stat);

fn answer(store: &mut Option<Store>, mut packet: Packet) -> Answer {
    let descriptors = std::mem::take(&mut packet.descriptors);
    let outcome = match (Request::decode(packet.bytes()), descriptors.as_slice(), &store) {
        (Some(Request::Store), [directory], None) => Store::at(directory).map(|at| *store = Some(at)),
        (Some(Request::Protect(protection, name)), [directory, file], Some(store)) => {
            store.protect(directory, name, file, protection)
        }
        (Some(Request::Remove(name)), [directory, segment, tombstone], Some(store)) => {
            store.remove(directory, name, segment, tombstone)
        }
        (Some(Request::Store), [_], Some(_))
        | (Some(Request::Protect(..)), [_, _], None)
        | (Some(Request::Remove(_)), [_, _, _], None) => Err(Answer::Store),
        _ => Err(Answer::Malformed),
    };
    outcome.err().unwrap_or(Answer::Done)
}

impl Store {
    fn at(directory: &OwnedFd) -> Result<Self, Answer> {
        let stat = fstat(directory).map_err(system)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            Ok(Self(stat))
        } else {
            Err(Answer::Type)
        }
    }

    /// Adds the flag, when `file` is what `name` in `directory` is, and that directory is in the store.
    fn protect(
        &self,
        directory: &OwnedFd,
        name: &str,
        file: &OwnedFd,
        protection: Protection,
    ) -> Result<(), Answer> {
        let found = fstat(file).map_err(system)?;
        if !matches!(FileType::from_raw_mode(found.st_mode), FileType::RegularFile | FileType::Directory) {
            return Err(Answer::Type);
        }
        let named = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| Answer::Elsewhere)?;
        if !is_same(&found, &named) || found.st_dev != self.0.st_dev || !self.holds(directory) {
            return Err(Answer::Elsewhere);
        }
        add_flag(file, protection).map_err(|error| Answer::System(error.raw_os_error().unwrap_or(0)))?;
        let is_held =
            protection == Protection::Sealed && privileges::is_held_for_writing(file.as_fd()) == Some(true);
        if is_held { Err(Answer::Held) } else { Ok(()) }
    }

    /// Removes a segment whose tombstone stands beside it and can't be changed any more.
    fn remove(
        &self,
        directory: &OwnedFd,
        name: &str,
        segment: &OwnedFd,
        tombstone: &OwnedFd,
    ) -> Result<(), Answer> {
        if !is_same(&fstat(directory).map_err(system)?, &self.0) {
            return Err(Answer::Elsewhere);
        }
        let (first_frame, attempt) = parse_segment_name(name).ok_or(Answer::Elsewhere)?;
        is_file_of(directory, name, segment)?;
        is_file_of(directory, &tombstone_name(first_frame, attempt), tombstone)
            .map_err(|_| Answer::Tombstone)?;
        if !is_immutable(tombstone).unwrap_or(false) {
            return Err(Answer::Tombstone);
        }
        remove_protected(directory, name, segment)
            .map_err(|error| Answer::System(error.raw_os_error().unwrap_or(0)))
    }

    /// Whether the directory is the store or lies in it. The way up leads through no link.
    fn holds(&self, directory: &OwnedFd) -> bool {
        let mut up = String::from(".");
        for _ in 0..DEPTH {
            match statat(directory, up.as_str(), AtFlags::empty()) {
                Ok(above) if is_same(&above, &self.0) => return true,
                Ok(above) if above.st_dev == self.0.st_dev => up.push_str("/.."),
                _ => return false,
            }
        }
        false
    }
}

/// Refuses a descriptor that is not the regular file of that name.
fn is_file_of(directory: &OwnedFd, name: &str, file: &OwnedFd) -> Result<(), Answer> {
    let found = fstat(file).map_err(system)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(Answer::Type);
    }
    let named = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| Answer::Elsewhere)?;
    if is_same(&found, &named) { Ok(()) } else { Err(Answer::Elsewhere) }
}

fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

fn system(errno: rustix::io::Errno) -> Answer {
    Answer::System(errno.raw_os_error())
}
