//! The program that shows long output page by page.

use std::env;
use std::io;
use std::process::{Child, Command, Stdio};

/// Starts the pager that the environment names; `None` when there is none or it does not start.
#[must_use]
pub fn start() -> Option<Child> {
    let named = ["RECORDER_PAGER", "PAGER"].iter().find_map(|name| env::var(name).ok());
    let line = named.unwrap_or_else(|| "less -FRSX".to_owned());
    let mut words = line.split_whitespace();
    let program = words.next().filter(|program| *program != "cat")?;
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::piped());
    if env::var_os("SUDO_UID").is_some() {
        // less can start programs; whoever may only query as root must not get a shell as root.
        command.env("LESSSECURE", "1");
    }
    command.spawn().ok()
}

/// Waits until the person has seen enough.
///
/// # Errors
/// When the pager can't be waited for.
pub fn wait(mut pager: Child) -> io::Result<()> {
    drop(pager.stdin.take());
    pager.wait().map(drop)
}
