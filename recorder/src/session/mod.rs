//! Logins as stories: events folded into sessions, process trees and histories of files.
//!
//! The spine is the kernel's: audit session and login user of each event, forks and exits. What PAM says is joined to it
//! and stays marked as PAM's word. Everything here is a function of event lines: no file, no clock, bounded memory.

pub mod change;
pub mod doubt;
pub mod fold;
pub mod history;
pub mod key;
pub mod live;
pub mod login;
pub mod origin;
pub mod process;
pub mod story;
