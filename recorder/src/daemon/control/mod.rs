//! The control socket: what a running daemon tells `recorder status` and `recorder follow`.
//!
//! It hands out counters and a watermark, never events: a client reads the store itself up to the watermark, so
//! nothing is shown before it is durable and a slow client can lose nothing and slow nothing.

mod protocol;
mod server;
mod shared;
#[cfg(test)]
mod tests;

pub use protocol::{
    CanaryStatus, ClassStatus, DEFAULT_STORE, Durable, Probe, ProbeState, Queue, Request, Retention, Status,
    Verb, Watermark, socket_path, state_directory,
};
pub use server::{ControlError, MAX_CLIENTS, MAX_REQUEST, Server};
pub use shared::{FrameStored, Shared};
