//! What is attached: links into the kernel, each of which detaches its probe when it is dropped.
//!
//! Taking a probe away waits for grace periods of the kernel, some of which many threads can wait for together.

use std::thread::{Builder, scope};

use aya::programs::fentry::FEntryLink;
use aya::programs::fexit::FExitLink;
use aya::programs::tp_btf::BtfTracePointLink;
use aya::programs::trace_point::TracePointLink;
use aya::programs::uprobe::UProbeLink;

/// Threads that detach.
const THREADS: usize = 16;

/// One attachment. Dropping it detaches.
#[derive(Debug)]
pub enum Link {
    /// `tp_btf`.
    Btf(BtfTracePointLink),
    /// A tracepoint of a system call.
    Tracepoint(TracePointLink),
    /// The entry of a function of the kernel.
    Entry(FEntryLink),
    /// The return of a function of the kernel.
    Exit(FExitLink),
    /// A function of a library.
    Uprobe(UProbeLink),
}

/// Every attachment. Dropping it detaches them all and waits until none is left.
#[derive(Debug, Default)]
pub struct Attached(Vec<Link>);

impl Attached {
    /// Keeps a link.
    pub fn push(&mut self, link: Link) {
        self.0.push(link);
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let share = self.0.len().div_ceil(THREADS).max(1);
        let mut links = std::mem::take(&mut self.0);
        scope(|scope| {
            while !links.is_empty() {
                let part = links.split_off(links.len().saturating_sub(share));
                // Where there is no further thread the links are dropped here, with the work that was not done.
                let _ = Builder::new().name("detach".to_owned()).spawn_scoped(scope, move || drop(part));
            }
        });
    }
}
