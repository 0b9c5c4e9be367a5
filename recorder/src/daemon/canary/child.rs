//! The process of the canary: starts, calls into libpam without a handle, ends. So the hooks of processes and logins fire.

use std::ffi::{CString, OsString, c_char, c_int, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::CapabilitySet;

use crate::capture::hooks::PAM;
use crate::daemon::privileges;

/// The argument that makes a recorder this process. Only a daemon has a use for it.
pub const WORD: &str = "canary";
/// How long it may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did everything.
    Done,
    /// It started, and could not load the library.
    Failed,
    /// It was not started.
    NotStarted,
}

/// Starts `program`, a recorder, as this process, and waits for its end.
///
/// # Errors
/// When it can't be started.
pub fn send(program: &Path, library: Option<&Path>) -> io::Result<Outcome> {
    let mut command = Command::new(program);
    command.arg0("recorder").arg(WORD).args(library).env_clear().current_dir("/").process_group(0);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(if status.success() { Outcome::Done } else { Outcome::Failed });
        }
        if start.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Ok(Outcome::Failed);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Calls each hooked function of the library in `arguments` with no handle, which it refuses.
///
/// # Errors
/// When the library can't be loaded, or something else asked for this.
pub fn run(mut arguments: impl Iterator<Item = OsString>) -> Result<()> {
    privileges::keep_only(CapabilitySet::empty())?;
    let Some(path) = arguments.next().map(PathBuf::from) else { return Ok(()) };
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: a name that ends with NUL. The library is the one that every login on this host loads.
    let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if library.is_null() {
        bail!("{} can't be loaded", path.display());
    }
    // PAM complains to syslog when there is no handle; without a descriptor for that it can't.
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), maximum: Some(0) })?;
    for (symbol, ..) in PAM {
        let symbol = CString::new(*symbol)?;
        call(library, &symbol);
    }
    Ok(())
}

fn call(library: *mut c_void, symbol: &CString) {
    /// Every one of them takes at most four numbers or addresses.
    type Function = extern "C" fn(*mut c_void, *const c_char, *mut c_void, *mut c_void) -> c_int;
    // SAFETY: a library that was just loaded, and a name that ends with NUL.
    let address = unsafe { libc::dlsym(library, symbol.as_ptr()) };
    if address.is_null() {
        return;
    }
    // SAFETY: the functions of libpam return a number, and refuse a null handle before they look at anything else.
    let function = unsafe { std::mem::transmute::<*mut c_void, Function>(address) };
    function(std::ptr::null_mut(), std::ptr::null(), std::ptr::null_mut(), std::ptr::null_mut());
}
