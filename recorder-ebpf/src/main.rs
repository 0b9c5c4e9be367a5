//! The probes.
#![no_std]
#![no_main]

/// Probes have no way to panic that the verifier would accept; this only satisfies the compiler.
#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// Licence that lets the kernel offer its GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
