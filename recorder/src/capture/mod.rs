//! Kernel to bytes: loads the probes, attaches them, reads their rings. The only module that knows aya.
//!
//! What comes out is batches of samples in time order, and losses; what they mean is `event`'s business.

mod attach;
pub mod attached;
pub mod canary;
pub mod cost;
mod freeze;
pub mod hooks;
pub mod library;
pub mod load;
pub mod loss;
pub mod misses;
pub mod needs;
mod object_family;
pub mod objects;
pub mod offsets;
pub mod price;
pub mod report;
pub mod ring;
pub mod syscalls;

use std::path::PathBuf;

pub use attach::libpam;
pub use cost::ProgramCost;
pub use load::{Capture, Choice, Sizes};
pub use price::{ProgramPrice, count_runs};
pub use report::{ProbeRow, State, probe_report};

/// Why recording can't start.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Not root, or a sandbox without the capabilities.
    #[error("the kernel refused to load probes ({what}): run as root, or with CAP_BPF and CAP_PERFMON")]
    Permission {
        /// What was tried.
        what: String,
    },
    /// The kernel lacks what the probes are made of.
    #[error(
        "this kernel ({release}) is too old for the recorder: it has no {}; boot Linux {since} or later",
        missing.join(", no ")
    )]
    OldKernel {
        /// As the kernel names itself.
        release: String,
        /// Each feature with the version that brought it and what it is for.
        missing: Vec<String>,
        /// The version that has all of them.
        since: &'static str,
    },
    /// No type information of the running kernel.
    #[error(
        "{path}: {why}; this kernel has no BTF (CONFIG_DEBUG_INFO_BTF), without which field offsets are unknown"
    )]
    NoBtf {
        /// The BTF file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// tracefs is not mounted.
    #[error("tracefs is not mounted: run `mount -t tracefs none /sys/kernel/tracing`")]
    NoTracefs,
    /// The argument registers are not where the probes look.
    #[error("unsupported kernel: pt_regs does not keep the system call arguments side by side")]
    Registers,
    /// The object could not be loaded.
    #[error("loading the probes: {0}")]
    Load(String),
    /// A hook without which there is no record of executions.
    #[error("cannot attach {hook}, which every record needs: {why}")]
    Essential {
        /// The hook.
        hook: String,
        /// The kernel's answer.
        why: String,
    },
    /// A map is not what the daemon expects.
    #[error("map {name}: {why}")]
    Map {
        /// The map.
        name: &'static str,
        /// What is wrong.
        why: String,
    },
    /// A map could not be made unchangeable.
    #[error("freezing map {map}: {source}")]
    Freeze {
        /// The map.
        map: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// Waiting for the rings failed.
    #[error("waiting for events: {0}")]
    Wait(#[from] std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::CaptureError;

    /// Kernels that lack these can't be had for a test; what people are told can.
    #[test]
    fn what_a_kernel_lacks_is_named_with_the_way_out() {
        let path = "/sys/kernel/btf/vmlinux".into();
        let no_btf = CaptureError::NoBtf { path, why: "No such file or directory".to_owned() }.to_string();
        assert!(no_btf.starts_with("/sys/kernel/btf/vmlinux: No such file"), "{no_btf}");
        assert!(no_btf.contains("CONFIG_DEBUG_INFO_BTF"), "{no_btf}");
        let no_tracefs = CaptureError::NoTracefs.to_string();
        assert!(no_tracefs.contains("`mount -t tracefs none /sys/kernel/tracing`"), "{no_tracefs}");
        let refused = CaptureError::Permission { what: "BPF_PROG_LOAD".to_owned() }.to_string();
        assert!(refused.contains("BPF_PROG_LOAD") && refused.contains("run as root"), "{refused}");
    }

    #[test]
    fn no_btf_is_what_a_missing_or_broken_file_gives() {
        let broken = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(broken.path(), b"no type information").unwrap();
        for path in [std::path::Path::new("/nonexistent/btf"), broken.path()] {
            let error = super::offsets::resolve(path).err().unwrap();
            assert!(matches!(&error, CaptureError::NoBtf { .. }), "{error}");
            assert!(error.to_string().starts_with(path.to_str().unwrap()), "{error}");
        }
    }
}
