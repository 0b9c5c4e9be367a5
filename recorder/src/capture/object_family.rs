//! Tries the object family unit by unit. A unit is taken whole or not at all, so no event is told twice.

use aya::programs::{Program, ProgramError};
use aya::{Btf, BtfError, Ebpf};
use recorder_common::kind::Kind;

use super::attached::{Attached, Link};
use super::load::{Choice, chain};
use super::objects::{Function, UNITS, Unit};
use super::report::{ProbeRow, State};
use crate::config::Family;

/// A program that is attached to a function of the kernel.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Program in the object.
    pub program: &'static str,
    /// The hook as people write it.
    pub hook: String,
    /// The kind of event that it mainly serves.
    pub event: &'static str,
}

/// Attaches every unit that the kernel allows; the kinds that are served by it, and by which hooks.
pub fn attach(
    ebpf: &mut Ebpf,
    (attached, rows): (&mut Attached, &mut Vec<ProbeRow>),
    btf: &Btf,
    choice: Choice,
) -> (Vec<Kind>, Vec<Placed>) {
    let (mut served, mut placed) = (Vec::new(), Vec::new());
    let mut refused = match choice.family {
        Family::Auto => None,
        Family::Syscall => Some("not tried: capture.family is \"syscall\"".to_owned()),
    };
    for unit in UNITS {
        let taken = match &refused {
            Some(why) => Err(Refusal { hook: "fentry, fexit".to_owned(), why: String::clone(why) }),
            None => take(ebpf, unit, btf, choice.without),
        };
        match taken {
            Ok(hooks) => {
                let event = unit.kinds.first().map_or("all", |kind| kind.name());
                for (function, (link, row)) in unit.functions.iter().zip(hooks) {
                    if let Some(link) = link {
                        attached.push(link);
                        placed.push(Placed { program: function.program, hook: row.hook.clone(), event });
                    }
                    rows.push(row);
                }
                served.extend_from_slice(unit.kinds);
            }
            Err(Refusal { hook, why }) => {
                if !unit.kinds.is_empty() {
                    rows.push(ProbeRow::object(unit.kinds, hook, State::Replaced, Some(why.clone())));
                }
                // What the shared functions are refused is refused to all, and so is what needs a right.
                if unit.kinds.is_empty() || why.contains("Operation not permitted") {
                    refused = Some(why);
                }
            }
        }
    }
    (served, placed)
}

/// Why a unit can't be taken.
struct Refusal {
    hook: String,
    why: String,
}

/// Attaches all functions of a unit, in their order, or none: links that were made are taken away when one fails.
fn take(
    ebpf: &mut Ebpf,
    unit: &Unit,
    btf: &Btf,
    without: fn(&str) -> bool,
) -> Result<Vec<(Option<Link>, ProbeRow)>, Refusal> {
    let mut taken = Vec::new();
    for function in unit.functions {
        let mut found = None;
        for name in function.names.iter().filter(|name| !without(&function.hook(name))) {
            found = attach_function(ebpf, function, name, btf).transpose().map(|outcome| (name, outcome));
            if found.is_some() {
                break;
            }
        }
        match found {
            Some((name, Ok(link))) => {
                let row = ProbeRow::object(unit.kinds, function.hook(name), State::Attached, None);
                taken.push((Some(link), row));
            }
            Some((name, Err(why))) => return Err(Refusal { hook: function.hook(name), why }),
            None => {
                let hook = function.hook(&function.names.join("|"));
                let why = "this kernel has no such function".to_owned();
                if !function.optional {
                    return Err(Refusal { hook, why });
                }
                taken.push((None, ProbeRow::object(unit.kinds, hook, State::Absent, Some(why))));
            }
        }
    }
    Ok(taken)
}

/// Loads a program for a function and attaches it; `None` when the kernel has no function of this name.
fn attach_function(
    ebpf: &mut Ebpf,
    function: &Function,
    name: &str,
    btf: &Btf,
) -> Result<Option<Link>, String> {
    let program = ebpf.program_mut(function.program).ok_or("is not in the object")?;
    let link: Result<Link, ProgramError> = match (program, function.at_return) {
        (Program::FEntry(program), false) => program
            .load(name, btf)
            .and_then(|()| program.attach())
            .and_then(|id| program.take_link(id))
            .map(Link::Entry),
        (Program::FExit(program), true) => program
            .load(name, btf)
            .and_then(|()| program.attach())
            .and_then(|id| program.take_link(id))
            .map(Link::Exit),
        _ => return Err("is of another type in the object".to_owned()),
    };
    match link {
        Ok(link) => Ok(Some(link)),
        Err(ProgramError::Btf(BtfError::UnknownBtfTypeName { .. })) => Ok(None),
        Err(error) => {
            tracing::debug!(program = function.program, "{error:?}");
            Err(chain(&error))
        }
    }
}
