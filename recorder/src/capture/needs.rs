//! What the probes need of a kernel: tried feature by feature, because distributions bring features to older kernels.

use aya::programs::ProgramType;
use aya::sys::{BpfHelper, is_helper_supported};

use super::CaptureError;

/// A feature without which nothing is recorded, oldest first.
struct Need {
    helper: BpfHelper,
    name: &'static str,
    since: &'static str,
    purpose: &'static str,
}

const NEEDS: [Need; 4] = [
    Need {
        helper: BpfHelper::BPF_FUNC_ringbuf_output,
        name: "bpf_ringbuf_output",
        since: "5.8",
        purpose: "events on their way to the recorder",
    },
    Need {
        helper: BpfHelper::BPF_FUNC_get_current_task_btf,
        name: "bpf_get_current_task_btf",
        since: "5.11",
        purpose: "who did it",
    },
    Need {
        helper: BpfHelper::BPF_FUNC_task_pt_regs,
        name: "bpf_task_pt_regs",
        since: "5.15",
        purpose: "arguments of system calls",
    },
    Need {
        helper: BpfHelper::BPF_FUNC_loop,
        name: "bpf_loop",
        since: "5.17",
        purpose: "paths and command lines",
    },
];

/// A feature that the probes need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// As the kernel calls it.
    pub name: &'static str,
    /// The version of Linux that brought it.
    pub since: &'static str,
    /// What the recorder needs it for.
    pub purpose: &'static str,
    /// Whether this kernel has it; `None` when it doesn't let us find out.
    pub is_there: Option<bool>,
}

/// Every feature that is needed, tried on the running kernel.
#[must_use]
pub fn features() -> Vec<Feature> {
    let try_out = |need: &Need| Feature {
        name: need.name,
        since: need.since,
        purpose: need.purpose,
        is_there: is_helper_supported(ProgramType::TracePoint, need.helper).ok(),
    };
    NEEDS.iter().map(try_out).collect()
}

/// Passes where nothing is known to be missing.
///
/// # Errors
/// [`CaptureError::OldKernel`] with everything that is missing.
pub(super) fn check() -> Result<(), CaptureError> {
    judge(&features(), rustix::system::uname().release().to_string_lossy().into_owned())
}

fn judge(features: &[Feature], release: String) -> Result<(), CaptureError> {
    let missing: Vec<_> = features.iter().filter(|feature| feature.is_there == Some(false)).collect();
    let Some(newest) = missing.last() else { return Ok(()) };
    let since = newest.since;
    let tell =
        |feature: &&Feature| format!("{} (Linux {}: {})", feature.name, feature.since, feature.purpose);
    Err(CaptureError::OldKernel { release, missing: missing.iter().map(tell).collect(), since })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_version_that_has_it() {
        let feature = |index: usize, is_there| {
            let need = &NEEDS[index];
            Feature { name: need.name, since: need.since, purpose: need.purpose, is_there }
        };
        let known = |three: Option<bool>, four: Option<bool>| {
            [feature(0, Some(true)), feature(1, Some(true)), feature(2, three), feature(3, four)]
        };
        assert!(judge(&known(Some(true), None), "6.1.0".to_owned()).is_ok(), "unknown is not missing");
        let error = judge(&known(Some(false), Some(false)), "5.10.0-36".to_owned()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "this kernel (5.10.0-36) is too old for the recorder: it has no bpf_task_pt_regs (Linux 5.15: arguments \
             of system calls), no bpf_loop (Linux 5.17: paths and command lines); boot Linux 5.17 or later"
        );
    }
}
