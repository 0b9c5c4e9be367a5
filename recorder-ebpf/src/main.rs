//! The recorder's probes: the kernel side. They copy facts into rings; policy, names and formats are user space's.
//!
//! A probe is thin: an attribute function that names its kernel hook, and the work in a plain function below it.
//! Everything read from the kernel goes through `read`, everything written to user space through `sample`.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![expect(internal_features, reason = "core offers no other way to BPF's atomic instructions")]

mod atomic;
mod files;
mod maps;
mod path;
mod probe;
mod read;
mod ring;
mod sample;
mod task;

/// Probes cannot panic in a way that the verifier accepts; this only satisfies the compiler.
#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// The licence that lets the kernel offer its GPL-only helpers (`bpf_probe_read_kernel` is one).
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
