//! Names of processes and sessions that hold beyond reuse of numbers: as events have them, and as people type them.

use std::fmt;

/// A process: boot, pid and start, as in `key` of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessKey {
    /// The first 32 bits of the boot id.
    pub boot: u32,
    /// Process id in the initial namespace.
    pub pid: u32,
    /// Start in boot-clock ns.
    pub start: u64,
}

/// A session: the kernel's audit session of one boot, or what PAM alone calls one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionKey {
    /// The audit session `id` of a boot.
    Kernel {
        /// The first 32 bits of the boot id.
        boot: u32,
        /// The kernel's number; it begins anew with each boot.
        id: u32,
    },
    /// PAM opened a session in a process that has no audit session.
    Pam(ProcessKey),
}

impl ProcessKey {
    /// Reads `0a1b2c3d-4242-5000000001`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (boot, pid, start) = (parts.next()?, parts.next()?, parts.next()?);
        if boot.len() != 8 || parts.next().is_some() {
            return None;
        }
        Some(Self {
            boot: u32::from_str_radix(boot, 16).ok()?,
            pid: pid.parse().ok()?,
            start: start.parse().ok()?,
        })
    }
}

impl SessionKey {
    /// Reads `0a1b2c3d-3`, or the process key of a session that only PAM knows.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(process) = ProcessKey::parse(text) {
            return Some(Self::Pam(process));
        }
        let (boot, id) = text.split_once('-')?;
        let boot = (boot.len() == 8).then(|| u32::from_str_radix(boot, 16).ok()).flatten()?;
        Some(Self::Kernel { boot, id: id.parse().ok()? })
    }

    /// The boot that it belongs to.
    #[must_use]
    pub const fn boot(self) -> u32 {
        match self {
            Self::Kernel { boot, .. } => boot,
            Self::Pam(process) => process.boot,
        }
    }
}

impl fmt::Display for ProcessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}-{}", self.boot, self.pid, self.start)
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel { boot, id } => write!(f, "{boot:08x}-{id}"),
            Self::Pam(process) => process.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        for text in ["0a1b2c3d-4242-5000000001", "00000000-1-0"] {
            assert_eq!(ProcessKey::parse(text).unwrap().to_string(), text);
            assert_eq!(SessionKey::parse(text), ProcessKey::parse(text).map(SessionKey::Pam));
        }
        let session = SessionKey::parse("0a1b2c3d-3").unwrap();
        assert_eq!((session.to_string().as_str(), session.boot()), ("0a1b2c3d-3", 0x0a1b_2c3d));
        for text in
            ["", "3", "a-3", "0a1b2c3d", "0a1b2c3d-", "0a1b2c3d-1-2-3", "0a1b2c3d-4242-x", "+a1b2c3d-1-x"]
        {
            assert_eq!(SessionKey::parse(text), None, "{text}");
        }
    }
}
