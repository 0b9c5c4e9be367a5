//! What the verifier went through to accept each program: the time that loading takes, and how near the limit is.

use aya::Ebpf;

/// One loaded program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramCost {
    /// Its name in the object.
    pub name: String,
    /// Instructions that the verifier looked at, each as often as it came by; `None` before Linux 5.16.
    pub instructions: Option<u32>,
}

/// Every loaded program, by name. What this kernel has no hook for isn't loaded.
pub(super) fn of(ebpf: &Ebpf) -> Vec<ProgramCost> {
    let cost = |(name, program): (&str, &aya::programs::Program)| {
        let info = program.info().ok()?;
        Some(ProgramCost { name: name.to_owned(), instructions: info.verified_instruction_count() })
    };
    let mut costs: Vec<ProgramCost> = ebpf.programs().filter_map(cost).collect();
    costs.sort_by(|a, b| a.name.cmp(&b.name));
    costs
}
