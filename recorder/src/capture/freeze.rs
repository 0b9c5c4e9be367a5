//! Makes maps unchangeable through bpf(2), for root as well: the probes write to them, and nobody else has to.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::Ebpf;
use aya::maps::Map;

use super::CaptureError;

/// `BPF_MAP_FREEZE` (`include/uapi/linux/bpf.h`), since Linux 5.2.
const FREEZE: libc::c_int = 22;

/// Freezes every map but the rings, which can't be: whoever reads a ring writes how far it has read. Samples that
/// somebody else takes out of a ring leave holes in the sequence, which become `gap` events.
pub fn freeze(ebpf: &Ebpf) -> Result<(), CaptureError> {
    // Constants are frozen since they were loaded.
    for (name, map) in ebpf.maps().filter(|(name, _)| !name.starts_with(".rodata")) {
        let data = match map {
            Map::PerCpuArray(data) | Map::Array(data) | Map::HashMap(data) | Map::LruHashMap(data) => data,
            _ => continue,
        };
        let descriptor = data.fd().as_fd().as_raw_fd().cast_unsigned();
        // SAFETY: the kernel reads four bytes, the descriptor, which is open.
        let result =
            unsafe { libc::syscall(libc::SYS_bpf, FREEZE, &raw const descriptor, size_of_val(&descriptor)) };
        if result != 0 {
            let source = io::Error::last_os_error();
            return Err(CaptureError::Freeze { map: name.to_owned(), source });
        }
    }
    Ok(())
}
