//! Puts a sample together in scratch space and sends it: the only way out of the kernel.
//!
//! The sequence number is taken before the ring is asked for room, so a sample that finds none leaves a hole.

use aya_ebpf::helpers::bpf_get_smp_processor_id;
use aya_ebpf::helpers::generated::{
    bpf_ktime_get_boot_ns, bpf_probe_read_kernel, bpf_probe_read_kernel_str, bpf_probe_read_user,
    bpf_probe_read_user_str, bpf_ringbuf_output, bpf_ringbuf_query,
};
use recorder_common::class::Class;
use recorder_common::sample::{Body, FIXED, Header, SAMPLE_MAX, TaskId};
use recorder_common::text::{TEXT_CUT, TEXT_FAULT, TEXT_HEADER, TEXT_MAX, Tag};

use crate::maps::{BUSY, COUNTERS, SCRATCH, SLOTS};
use crate::path::{self, Walk};
use crate::probe::exec::Vector;
pub use crate::ring::{Urgency, count_loss, count_missing};
use crate::ring::{is_bulk, is_nearly_full, ring_of, wake_flags};
use crate::{atomic, task};

/// Bounds every position inside the scratch space; a text of [`TEXT_MAX`] still fits behind it.
pub const AREA_MASK: u64 = 0x3fff;
/// Longest name a caller can give, with its NUL (`PATH_MAX`).
const NAME_MAX: u32 = 4096;

const _: () = assert!(FIXED + AREA_MASK as usize + TEXT_HEADER + TEXT_MAX <= SAMPLE_MAX);

/// What is known of a sample while it is put together. It lives in the scratch space behind the sample, not on the
/// stack: what the verifier reads back from a map it takes for any number, so the paths through a probe stay few. And
/// Linux 6.1 takes what a `bpf_loop` step finds on the stack for what stood there at the first step: it removes the
/// branches that would need another value.
#[repr(C)]
pub struct State {
    /// Where the next text goes.
    pub position: u64,
    /// Bits of `recorder_common::sample::flag`.
    pub flags: u64,
    /// Texts so far.
    pub texts: u64,
    /// Scratch space of this CPU that holds the sample.
    pub slot: u64,
    /// The walk in progress.
    pub walk: Walk,
    /// The argument vector that is being read.
    pub vector: Vector,
}

const _: () = assert!(SAMPLE_MAX + size_of::<State>() <= 32 * 1024);

/// The state behind a sample in scratch space.
#[inline(always)]
pub fn state_of(area: *mut u8) -> &'static mut State {
    // SAFETY: the area is a map value of 32 KiB, 8-aligned, and claimed by one sample alone.
    unsafe { &mut *area.add(SAMPLE_MAX).cast() }
}

/// A sample being written.
pub struct Sample {
    area: *mut u8,
    class: Class,
}

impl Sample {
    /// Claims scratch space and writes who is acting. `None` when a probe was preempted too deeply, or when the ring has
    /// no room for what matters least: counted as loss.
    #[inline(always)]
    pub fn begin(class: Class, kind: u16) -> Option<Self> {
        if is_bulk(kind) && is_nearly_full(class) {
            count_loss(class);
            return None;
        }
        let Some(area) = claim() else {
            count_loss(class);
            return None;
        };
        let sample = Self { area, class };
        let state = state_of(area);
        state.position = FIXED as u64;
        state.flags = 0;
        state.texts = 0;
        let header = sample.header();
        header.kind = kind;
        header.class = class as u8;
        header.result = 0;
        // SAFETY: the helper takes nothing.
        header.mono = unsafe { bpf_ktime_get_boot_ns() };
        task::identity(task::current(), &mut header.task);
        *sample.body() = Body { ino: 0, arg: [0; 4], dev: 0, mode: 0, owner: 0, group: 0 };
        Some(sample)
    }

    /// As [`Self::begin`], for somebody else than the current task when `who` says so.
    #[inline(always)]
    pub fn begin_for(class: Class, kind: u16, who: Option<&TaskId>) -> Option<Self> {
        let sample = Self::begin(class, kind)?;
        if let Some(who) = who {
            sample.header().task = *who;
        }
        Some(sample)
    }

    /// The scratch space that this sample claimed.
    #[inline(always)]
    pub fn area(&self) -> *mut u8 {
        self.area
    }

    /// Adds bits of `recorder_common::sample::flag`.
    #[inline(always)]
    pub fn add_flags(&mut self, flags: u64) {
        state_of(self.area).flags |= flags;
    }

    /// Whether all these bits are set.
    #[inline(always)]
    pub fn has_flags(&self, flags: u64) -> bool {
        state_of(self.area).flags & flags == flags
    }

    #[inline(always)]
    pub fn header(&self) -> &'static mut Header {
        // SAFETY: the area is a map value larger than FIXED, 8-aligned, and claimed by this sample alone.
        unsafe { &mut *self.area.cast() }
    }

    #[inline(always)]
    pub fn body(&self) -> &'static mut Body {
        // SAFETY: as above; the body follows the header.
        unsafe { &mut *self.area.add(size_of::<Header>()).cast() }
    }

    /// Appends the walked path at `address` (`struct path *`).
    #[inline(always)]
    pub fn walked(&mut self, tag: Tag, address: u64) {
        if self.text_place().is_some() {
            path::walk(self.area, address);
            let state = state_of(self.area);
            let start = state.position + TEXT_HEADER as u64;
            let (end, flags) = (state.walk.position, state.walk.flags as u8);
            self.finish_text(tag, flags, end.wrapping_sub(start));
        }
    }

    /// Appends the walked path of an entry of a mount, and of `leaf` below it when that is not 0.
    #[inline(always)]
    pub fn walked_entry(&mut self, tag: Tag, mount: u64, dentry: u64, leaf: u64) {
        if self.text_place().is_some() {
            path::walk_entry(self.area, mount, dentry, leaf);
            let state = state_of(self.area);
            let start = state.position + TEXT_HEADER as u64;
            let (end, flags) = (state.walk.position, state.walk.flags as u8);
            self.finish_text(tag, flags, end.wrapping_sub(start));
        }
    }

    /// Appends a string of the current task's memory, or of the kernel's.
    #[inline(always)]
    pub fn given_text(&mut self, tag: Tag, address: u64, in_kernel: bool) {
        let Some(to) = self.text_place() else { return };
        // SAFETY: `to` has room for TEXT_MAX bytes; the helpers check the source.
        let length = unsafe {
            if in_kernel {
                bpf_probe_read_kernel_str(to.cast(), NAME_MAX, address as *const _)
            } else {
                bpf_probe_read_user_str(to.cast(), NAME_MAX, address as *const _)
            }
        };
        self.finish_string(tag, length);
    }

    /// Appends a string of the current task's memory.
    #[inline(always)]
    pub fn user_text(&mut self, tag: Tag, address: u64) {
        let Some(to) = self.text_place() else { return };
        // SAFETY: `to` has room for TEXT_MAX bytes; the helper checks the source.
        let length = unsafe { bpf_probe_read_user_str(to.cast(), NAME_MAX, address as *const _) };
        self.finish_string(tag, length);
    }

    /// Appends a string of kernel memory.
    #[inline(always)]
    pub fn kernel_text(&mut self, tag: Tag, address: u64) {
        let Some(to) = self.text_place() else { return };
        // SAFETY: `to` has room for TEXT_MAX bytes; the helper checks the source.
        let length = unsafe { bpf_probe_read_kernel_str(to.cast(), NAME_MAX, address as *const _) };
        self.finish_string(tag, length);
    }

    /// Appends a string that could not be read.
    #[inline(always)]
    pub fn unreadable(&mut self, tag: Tag) {
        if self.text_place().is_some() {
            self.finish_text(tag, TEXT_FAULT, 0);
        }
    }

    /// Appends `length` bytes of the current task's memory, at most [`TEXT_MAX`] of them.
    #[inline(always)]
    pub fn user_bytes(&mut self, tag: Tag, address: u64, length: u64) {
        let Some(to) = self.text_place() else { return };
        let cut = length > TEXT_MAX as u64;
        let size = if cut { TEXT_MAX as u64 } else { length } as u32;
        // SAFETY: `to` has room for TEXT_MAX bytes; the helper checks the source.
        let failed = unsafe { bpf_probe_read_user(to.cast(), size, address as *const _) } != 0;
        let flags = if failed {
            TEXT_FAULT
        } else if cut {
            TEXT_CUT
        } else {
            0
        };
        self.finish_text(tag, flags, if failed { 0 } else { size as u64 });
    }

    /// Appends a value as its bytes.
    #[inline(always)]
    pub fn plain<T: Copy>(&mut self, tag: Tag, value: &T) {
        const { assert!(size_of::<T>() <= TEXT_MAX) };
        let Some(to) = self.text_place() else { return };
        let (size, from) = (size_of::<T>(), core::ptr::from_ref(value));
        // SAFETY: `to` has room for TEXT_MAX bytes, and `value` is that large.
        unsafe { bpf_probe_read_kernel(to.cast(), size as u32, from.cast()) };
        self.finish_text(tag, 0, size as u64);
    }

    /// Where the bytes of the next text go; `None` when the sample is full, which is flagged.
    #[inline(always)]
    pub fn text_place(&mut self) -> Option<*mut u8> {
        let state = state_of(self.area);
        if state.position > AREA_MASK {
            state.flags |= recorder_common::sample::flag::CUT;
            return None;
        }
        let at = (state.position & AREA_MASK) as usize + TEXT_HEADER;
        // SAFETY: AREA_MASK + TEXT_HEADER is inside the area.
        Some(unsafe { self.area.add(at) })
    }

    #[inline(always)]
    fn finish_string(&mut self, tag: Tag, length: i64) {
        if length < 0 {
            self.finish_text(tag, TEXT_FAULT, 0);
            return;
        }
        let flags = if length >= NAME_MAX as i64 { TEXT_CUT } else { 0 };
        // The NUL is counted, but older kernels (6.12 is one) answer 0 for an empty string of a caller.
        let length = length as u64 & 0x1fff;
        self.finish_text(tag, flags, if length == 0 { 0 } else { length - 1 });
    }

    /// Writes the header of the text whose `length` bytes are in place.
    #[inline(always)]
    pub fn finish_text(&mut self, tag: Tag, flags: u8, length: u64) {
        let state = state_of(self.area);
        let at = (state.position & AREA_MASK) as usize;
        let length = length & 0x3fff;
        // SAFETY: AREA_MASK + TEXT_HEADER is inside the area.
        unsafe {
            let header = self.area.add(at);
            header.write(tag as u8);
            header.add(1).write(flags);
            header.add(2).write(length as u8);
            header.add(3).write((length >> 8) as u8);
        }
        state.position += TEXT_HEADER as u64 + length;
        state.texts += 1;
    }

    /// Gives the scratch space back without sending anything.
    #[inline(always)]
    pub fn discard(self) {
        release(self.area);
    }

    /// Numbers the sample and sends it.
    #[inline(always)]
    pub fn send(self, urgency: Urgency) {
        let class = self.class;
        let state = state_of(self.area);
        let length = state.position & 0x7fff;
        let length = if length > SAMPLE_MAX as u64 { SAMPLE_MAX as u64 } else { length };
        let header = self.header();
        header.length = length as u32;
        header.texts = state.texts as u8;
        header.flags = state.flags;
        // SAFETY: the helper takes nothing.
        header.cpu = unsafe { bpf_get_smp_processor_id() };
        if let Some(counters) = COUNTERS.get_ptr_mut(class as u32) {
            // SAFETY: a per-CPU map value; other probes of this CPU touch it only by atomic operations.
            header.sequence = unsafe { atomic::fetch_add(&raw mut (*counters).sequence, 1) };
            // SAFETY: a lost update of this time stamp costs one wake-up more or less.
            let flags = wake_flags(class, urgency, header.mono, unsafe { &mut (*counters).woken });
            // SAFETY: length <= SAMPLE_MAX, which is inside the area.
            if unsafe { bpf_ringbuf_output(ring_of(class).cast(), self.area.cast(), length, flags) } != 0 {
                // SAFETY: as for the sequence number.
                unsafe { atomic::fetch_add(&raw mut (*counters).dropped, 1) };
            }
        }
        release(self.area);
    }
}

/// Takes the first free scratch space of this CPU.
#[inline(always)]
pub fn claim() -> Option<*mut u8> {
    let busy = BUSY.get_ptr_mut(0)?.cast::<u64>();
    let mut slot = 0;
    while slot < SLOTS {
        // SAFETY: slot is below the array's length; the value is touched only by atomic operations.
        if unsafe { atomic::swap(busy.add(slot as usize), 1) } == 0 {
            let area: *mut u8 = SCRATCH.get_ptr_mut(slot)?.cast();
            state_of(area).slot = slot as u64;
            return Some(area);
        }
        slot += 1;
    }
    None
}

/// Gives a scratch space back.
#[inline(always)]
pub fn release(area: *mut u8) {
    if let Some(busy) = BUSY.get_ptr_mut(0) {
        let slot = state_of(area).slot as usize & (SLOTS as usize - 1);
        // SAFETY: the mask keeps the slot below the array's length.
        unsafe { atomic::swap(busy.cast::<u64>().add(slot), 0) };
    }
}
