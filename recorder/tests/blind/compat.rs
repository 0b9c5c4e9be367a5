//! System calls of 32 bits, which the tracepoints of system calls pass by: from a program of 64 bits.

use std::path::Path;

use crate::support::record::Record;
use crate::workload::raw;

/// `mkdir` of i386.
const MKDIR: i64 = 39;
const MAP_32BIT: i64 = 0x40;
const MAP_PRIVATE_ANONYMOUS: i64 = 0x22;

/// Makes a directory by `int 0x80`.
pub fn make_directory(path: &Path) {
    let path = super::c_path(path);
    // A pointer of 32 bits must be able to name it.
    let low = [0, 8192, 3, MAP_PRIVATE_ANONYMOUS | MAP_32BIT, -1, 0];
    let place = raw::call(libc::SYS_mmap, &low).expect("mmap");
    let bytes = path.as_bytes_with_nul();
    // SAFETY: the mapping is larger than a path, writable, and this function's own.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place as *mut u8, bytes.len().min(4096)) };
    let mut value = MKDIR;
    // SAFETY: the call reads the path and nothing else; rbx, which the compiler keeps, is put back.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {path}", "int 0x80", "xchg rbx, {path}",
            path = inout(reg) place => _,
            inout("rax") value,
            in("rcx") 0o755_i64,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    assert_eq!(value, 0, "mkdir by int 0x80");
}

/// The directory is told where the object family tells directories, and nowhere else; docs/events.md says so.
pub fn check(events: &[Record], path: &Path, by_object: bool) {
    let told = events.iter().filter(|event| event.text("path") == path.to_str()).count();
    assert_eq!(told, usize::from(by_object), "a call of 32 bits");
}
