//! A file system that a thread serves from memory, by the kernel's own protocol (`include/uapi/linux/fuse.h`): one
//! directory, files without content.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::thread::JoinHandle;

/// A file that nobody may make.
pub const REFUSED: &str = "refused";

const ROOT: u64 = 1;
const HEADER: usize = 40;
const DIRECTORY: u32 = 0o040_755;

const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const SETATTR: u32 = 4;
const MKDIR: u32 = 9;
const UNLINK: u32 = 10;
const RMDIR: u32 = 11;
const RENAME: u32 = 12;
const OPEN: u32 = 14;
const WRITE: u32 = 16;
const RELEASE: u32 = 18;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const CREATE: u32 = 35;
const DESTROY: u32 = 38;
const BATCH_FORGET: u32 = 42;
const RENAME2: u32 = 45;

/// Mounts the file system; its thread ends when it is unmounted.
pub fn mount(at: &Path) -> JoinHandle<()> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse").expect("/dev/fuse");
    let data = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
    super::mount(Path::new("recorder-test"), at, "fuse", 0, &data).expect("fuse");
    std::thread::spawn(move || serve(device))
}

fn serve(mut device: File) {
    let mut server = Server { names: HashMap::new(), modes: HashMap::from([(ROOT, DIRECTORY)]), next: ROOT };
    let mut request = vec![0; 1 << 20];
    // Ends with ENODEV when the file system is unmounted.
    while let Ok(length) = device.read(&mut request) {
        let request = &request[..length];
        let Some(answer) = server.answer(request) else { continue };
        let (error, body) = answer.map_or_else(|errno| (-errno, Vec::new()), |body| (0, body));
        let length = u32::try_from(16 + body.len()).expect("small");
        let head = [&length.to_le_bytes()[..], &error.to_le_bytes(), &request[8..16]].concat();
        // A request that was given up meanwhile takes no answer.
        let _ = device.write(&[head, body].concat());
    }
}

struct Server {
    names: HashMap<String, u64>,
    modes: HashMap<u64, u32>,
    next: u64,
}

type Answer = Result<Vec<u8>, i32>;

impl Server {
    /// The answer to a request; `None` for one that wants none.
    fn answer(&mut self, request: &[u8]) -> Option<Answer> {
        let (operation, node) = (u32_at(request, 4), u64_at(request, 16));
        let body = &request[HEADER..];
        Some(match operation {
            FORGET | BATCH_FORGET | DESTROY => return None,
            INIT => Ok(words(&[7, 31, 0, 0, 0, 1 << 17, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0])),
            LOOKUP => self.names.get(name(body)).ok_or(libc::ENOENT).map(|node| self.entry(*node)),
            GETATTR => Ok(self.attributes(node)),
            SETATTR => {
                // FATTR_MODE; the mode stands behind the times.
                if u32_at(body, 0) & 1 != 0 {
                    self.modes.insert(node, u32_at(body, 68));
                }
                Ok(self.attributes(node))
            }
            MKDIR => Ok(self.made(name(&body[8..]), DIRECTORY)),
            CREATE if name(&body[16..]) == REFUSED => Err(libc::EACCES),
            CREATE => Ok([self.made(name(&body[16..]), u32_at(body, 4)), words(&[0; 4])].concat()),
            UNLINK | RMDIR => self.names.remove(name(body)).ok_or(libc::ENOENT).map(|_| Vec::new()),
            RENAME => self.renamed(&body[8..]),
            RENAME2 => self.renamed(&body[16..]),
            OPEN => Ok(words(&[0; 4])),
            WRITE => Ok(words(&[u32_at(body, 16), 0])),
            RELEASE | FLUSH => Ok(Vec::new()),
            _ => Err(libc::ENOSYS),
        })
    }

    fn made(&mut self, name: &str, mode: u32) -> Vec<u8> {
        self.next += 1;
        self.names.insert(name.to_owned(), self.next);
        self.modes.insert(self.next, mode);
        self.entry(self.next)
    }

    fn renamed(&mut self, names: &[u8]) -> Answer {
        let from = name(names);
        let to = name(&names[from.len() + 1..]);
        let node = self.names.remove(from).ok_or(libc::ENOENT)?;
        self.names.insert(to.to_owned(), node);
        Ok(Vec::new())
    }

    /// `struct fuse_entry_out`: nothing may be remembered, so each name is looked up anew.
    fn entry(&self, node: u64) -> Vec<u8> {
        [&node.to_le_bytes()[..], &[0; 32], &self.attribute(node)].concat()
    }

    fn attributes(&self, node: u64) -> Vec<u8> {
        [&[0; 16][..], &self.attribute(node)].concat()
    }

    /// `struct fuse_attr`: number, then sizes and times, mode, one link.
    fn attribute(&self, node: u64) -> Vec<u8> {
        let mode = self.modes.get(&node).copied().unwrap_or(0);
        [&node.to_le_bytes()[..], &[0; 52], &words(&[mode, 1, 0, 0, 0, 4096, 0])].concat()
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// The name that begins here.
fn name(bytes: &[u8]) -> &str {
    str::from_utf8(bytes.split(|&byte| byte == 0).next().expect("a part")).expect("plain")
}
