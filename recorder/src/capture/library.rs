//! Puts the probes of libpam into a file that an upgrade has put in its place. Done by a process of its own, because it
//! needs rights that the daemon gives up.

use std::borrow::Cow;
use std::path::Path;

use aya::programs::uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeScope};
use aya::programs::{ProbeKind, ProgramInfo, UProbe, loaded_programs};

use super::hooks::PAM;

/// Kernel ids of the two programs that serve every function of libpam.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Programs {
    /// At the entry of a function.
    pub enter: u32,
    /// At its return.
    pub leave: u32,
}

/// Probes in one file; they go when this is dropped.
#[derive(Default)]
pub struct Probes(Vec<UProbeLink>);

/// Attaches every probe to the library at `path`.
///
/// # Errors
/// What the kernel, or the file, refuses; nothing is attached then.
pub fn attach(programs: Programs, path: &Path) -> Result<Probes, String> {
    let mut enter = program(programs.enter, "pam_enter", ProbeKind::Entry)?;
    let mut leave = program(programs.leave, "pam_return", ProbeKind::Return)?;
    let mut probes = Probes::default();
    for &(symbol, cookie, only_entry, _) in PAM {
        probes.push(&mut enter, symbol, cookie, path)?;
        if !only_entry {
            probes.push(&mut leave, symbol, cookie, path)?;
        }
    }
    Ok(probes)
}

impl Probes {
    fn push(&mut self, program: &mut UProbe, symbol: &str, cookie: u64, path: &Path) -> Result<(), String> {
        let point =
            UProbeAttachPoint { location: UProbeAttachLocation::Symbol(symbol), cookie: Some(cookie) };
        let attached = program.attach(point, path, UProbeScope::AllProcesses);
        let link = attached.and_then(|id| program.take_link(id));
        self.0.push(
            link.map_err(|error| format!("{symbol} of {}: {}", path.display(), super::load::chain(&error)))?,
        );
        Ok(())
    }
}

/// The loaded program with this id, which must have this name.
fn program(id: u32, name: &'static str, kind: ProbeKind) -> Result<UProbe, String> {
    let is_it = |info: &ProgramInfo| info.id() == id;
    let found = loaded_programs().filter_map(Result::ok).find(is_it);
    let info = found.filter(|info| info.name_as_str() == Some(name));
    let info = info.ok_or_else(|| format!("program {id} is not {name}"))?;
    // SAFETY: a program of this name is a uprobe: the recorder's object has no other with it.
    let program = unsafe { UProbe::from_program_info(info, Cow::Borrowed(name), kind) };
    program.map_err(|error| format!("program {id}: {error}"))
}
