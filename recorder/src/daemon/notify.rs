//! What the service manager hears: ready, status, alive, stopping. Silence where there is no service manager.

use sd_notify::NotifyState;

/// Every required probe is attached and the store is open: recording has begun.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
}

/// One line for `systemctl status`.
pub fn status(status: &str) {
    send(&[NotifyState::Status(&one_line(status))]);
}

/// The clean end has begun.
pub fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("writing the last events")]);
}

/// Feeds the watchdog, if there is one, unless frames no longer reach the disk. The recording loop calls it, so a loop
/// that hangs is noticed as well: either way the service manager restarts the daemon.
pub fn alive_unless(stuck: bool) {
    if !stuck {
        send(&[NotifyState::Watchdog]);
    }
}

/// The service manager is told, not obeyed: a failure never stops the recording.
fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager did not hear us");
    }
}

/// Each line of a notification is an assignment of its own.
fn one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_assignment() {
        assert_eq!(one_line("recording\nMAINPID=1"), "recording MAINPID=1");
    }
}
