//! Classes of events: each has a ring, sequence numbers and loss counters of its own.

/// Ring classes. Exec and login events never wait behind a flood of writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// exec, fork, exit, logins, mounts, changes of credentials and of the kernel itself.
    Critical = 0,
    /// File changes, and refused or repeated calls that anybody could make a flood of.
    Files = 1,
}

impl Class {
    /// Every class, in ring order.
    pub const ALL: [Self; 2] = [Self::Critical, Self::Files];

    /// The word used in `gap` events and in `status`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Files => "files",
        }
    }
}

impl TryFrom<u8> for Class {
    type Error = u8;

    fn try_from(number: u8) -> Result<Self, u8> {
        match number {
            0 => Ok(Self::Critical),
            1 => Ok(Self::Files),
            other => Err(other),
        }
    }
}
