//! Field offsets and argument positions of the running kernel, by name, from its BTF.

use std::path::Path;

use btf_rs::{Btf, EnumMember, Struct, Type};
use recorder_common::offsets::{ABSENT, Offsets};

use super::CaptureError;

/// Where the kernel shows its own types.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
/// Anonymous members and dotted names go no deeper than this.
const DEPTH: usize = 8;

/// Fields that replaced each other: one of the two is enough.
const EITHER: &[[&str; 2]] = &[
    ["file.f_count", "file.f_ref"],
    ["xattr_ctx.kname", "kernel_xattr_ctx.kname"],
    ["io_file_table.files", "io_file_table.data"],
    ["io_file_table.files", "io_rsrc_data.nodes"],
    ["io_file_table.files", "io_rsrc_node.file_ptr"],
    ["filename.uptr", "filename.name"],
    ["proc_ns_operations.type", "ns_common.ns_type"],
];

/// Fields of features that a kernel can lack, because it is built without or is older; then there is nothing to tell.
const OF_FEATURES: &[&str] = &["module.name", "io_ftrunc.len", "io_bind.addr_len"];

/// Offsets, and the names of fields that this kernel does not have.
pub struct Resolved {
    /// For the probes.
    pub offsets: Offsets,
    /// `struct.member` of each absent field.
    pub absent: Vec<&'static str>,
}

/// Resolves every field of [`Offsets`] in the BTF file at `path`.
///
/// # Errors
/// [`CaptureError::NoBtf`] when the file can't be read or parsed, [`CaptureError::Registers`] when the layout of
/// `pt_regs` is not the one that the probes copy in one piece.
pub fn resolve(path: &Path) -> Result<Resolved, CaptureError> {
    let no_btf = |why: String| CaptureError::NoBtf { path: path.to_owned(), why };
    // In one piece: read from the file, the parser asks the kernel for its position at each of 120,000 types.
    let bytes = std::fs::read(path).map_err(|error| no_btf(error.to_string()))?;
    let btf = Btf::from_bytes(&bytes).map_err(|error| no_btf(error.to_string()))?;
    let mut absent = Vec::new();
    let mut values = [ABSENT; Offsets::COUNT];
    for (value, lookup) in values.iter_mut().zip(Offsets::LOOKUPS) {
        let found = match lookup.strip_suffix(')').and_then(|lookup| lookup.split_once('(')) {
            Some((function, argument)) => position(&btf, function, argument),
            None => field(&btf, lookup),
        };
        match found {
            Some(offset) => *value = offset,
            // A function that is not there is not hooked either, and that is told.
            None if lookup.ends_with(')') => {}
            None => absent.push(*lookup),
        }
    }
    let found = absent.clone();
    absent.retain(|lookup| {
        let has_other = |pair: &[&str; 2]| pair.iter().any(|other| !found.contains(other));
        let is_replaced = EITHER.iter().any(|pair| pair.contains(lookup) && has_other(pair));
        !is_replaced && (!OF_FEATURES.contains(lookup) || has_struct(&btf, lookup))
    });
    let offsets = Offsets::from_array(values);
    check_registers(&offsets)?;
    Ok(Resolved { offsets, absent })
}

/// The probes read r10, r9, r8, ax, cx, dx, si and di with one copy.
fn check_registers(offsets: &Offsets) -> Result<(), CaptureError> {
    let r10 = offsets.pt_regs_r10;
    let expected = [
        (offsets.pt_regs_r9, 8),
        (offsets.pt_regs_r8, 16),
        (offsets.pt_regs_dx, 40),
        (offsets.pt_regs_si, 48),
        (offsets.pt_regs_di, 56),
    ];
    if r10 != ABSENT && expected.iter().all(|(at, distance)| *at == r10.wrapping_add(*distance)) {
        return Ok(());
    }
    Err(CaptureError::Registers)
}

/// Whether the kernel has the struct of a lookup.
fn has_struct(btf: &Btf, lookup: &str) -> bool {
    let name = lookup.split('.').next().unwrap_or(lookup);
    let found = btf.resolve_types_by_name(name).unwrap_or_default();
    found.iter().any(|found| matches!(found, Type::Struct(_)))
}

/// Byte offset of `struct.member`, bit offset of `struct.member:bit`; `None` when absent, or when several structs of
/// that name disagree. Of a name alone the value of the enumerator.
fn field(btf: &Btf, lookup: &str) -> Option<u32> {
    let Some((name, member)) = lookup.split_once('.') else { return enumerator(btf, lookup) };
    let (member, is_bit) = match member.strip_suffix(":bit") {
        Some(member) => (member, true),
        None => (member, false),
    };
    let mut found =
        btf.resolve_types_by_name(name).ok()?.into_iter().filter_map(|candidate| match candidate {
            Type::Struct(structure) => member_bit(btf, &structure, member, DEPTH),
            _ => None,
        });
    let first = found.next()?;
    let is_whole = is_bit || first % 8 == 0;
    (found.all(|other| other == first) && is_whole).then_some(if is_bit { first } else { first / 8 })
}

/// Value of an enumerator of an enum without a name.
fn enumerator(btf: &Btf, wanted: &str) -> Option<u32> {
    let is_it = |member: &EnumMember| btf.resolve_name(member).is_ok_and(|name| name == wanted);
    let types = (1..).map_while(|id| btf.resolve_type_by_id(id).ok());
    types
        .filter_map(|candidate| if let Type::Enum(list) = candidate { Some(list.members) } else { None })
        .find_map(|members| members.iter().find(|member| is_it(member)).map(EnumMember::val))
}

/// Position of an argument of a function, by name; `None` when absent, or when several functions of that name disagree.
fn position(btf: &Btf, function: &str, argument: &str) -> Option<u32> {
    let candidates = btf.resolve_types_by_name(function).ok()?;
    let mut found = candidates.into_iter().filter_map(|candidate| match candidate {
        Type::Func(function) => match btf.resolve_chained_type(&function) {
            Ok(Type::FuncProto(prototype)) => prototype
                .parameters
                .iter()
                .position(|parameter| btf.resolve_name(parameter).is_ok_and(|name| name == argument)),
            _ => None,
        },
        _ => None,
    });
    let first = found.next()?;
    found.all(|other| other == first).then(|| u32::try_from(first).ok()).flatten()
}

/// Bit offset of a member, looked for inside anonymous structs and unions as well.
fn member_bit(btf: &Btf, structure: &Struct, wanted: &str, depth: usize) -> Option<u32> {
    if depth == 0 {
        return None;
    }
    for member in &structure.members {
        let name = btf.resolve_name(member).unwrap_or_default();
        let offset = member.bit_offset();
        if name == wanted {
            return Some(offset);
        }
        if name.is_empty()
            && let Ok(Type::Struct(inner) | Type::Union(inner)) = btf.resolve_chained_type(member)
            && let Some(below) = member_bit(btf, &inner, wanted, depth - 1)
        {
            return Some(offset + below);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_kernel_has_what_a_record_needs() {
        let resolved = resolve(Path::new(VMLINUX)).expect("BTF of the running kernel");
        assert!(!resolved.absent.contains(&"task_struct.tgid"), "{:?}", resolved.absent);
        assert!(!resolved.absent.contains(&"dentry.d_parent"), "{:?}", resolved.absent);
    }

    #[test]
    fn a_file_that_is_not_btf_is_named() {
        let error = resolve(Path::new("/proc/self/cmdline")).err().expect("not BTF");
        assert!(error.to_string().contains("/proc/self/cmdline"), "{error}");
    }
}
