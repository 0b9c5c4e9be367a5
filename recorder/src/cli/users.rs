//! User names of this host: `/etc/passwd` first, then `getent passwd`, which asks whatever directory the host uses
//! (LDAP, sssd). Evidence holds numbers; names are for people.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::enrich::users::Users;

/// The user database of this host.
const PASSWD: &str = "/etc/passwd";

/// The id of this user; `None` when this host knows no such user.
#[must_use]
pub fn uid_of(name: &str) -> Option<u32> {
    Users::read(Path::new(PASSWD)).id(name).or_else(|| {
        let asked =
            Command::new("getent").args(["passwd", "--", name]).stderr(Stdio::null()).output().ok()?;
        Users::parse(str::from_utf8(&asked.stdout).ok()?).id(name)
    })
}

/// Names for ids in a store of this host; none for the store of another one, where they would be wrong.
#[must_use]
pub fn names_for(store_host: Option<&str>) -> Users {
    let system = rustix::system::uname();
    let is_here = store_host.is_some_and(|host| host.as_bytes() == system.nodename().to_bytes());
    if is_here { Users::read(Path::new(PASSWD)) } else { Users::default() }
}

/// `group NAME`, or the number where the name is not known.
#[must_use]
pub fn group_text(gid: u32) -> String {
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let gid = gid.to_string();
    let named = groups.lines().find(|line| line.split(':').nth(2) == Some(&gid));
    let name = named.and_then(|line| line.split(':').next()).unwrap_or(&gid);
    format!("group {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_another_host_are_not_guessed() {
        assert_eq!(names_for(Some("another.host.example")).name(0), None);
        assert_eq!(names_for(None).name(0), None);
        let system = rustix::system::uname();
        assert_eq!(names_for(system.nodename().to_str().ok()).name(0), Some("root"));
    }

    #[test]
    fn root_is_known_and_nobody_at_all_is_not() {
        assert_eq!(uid_of("root"), Some(0));
        assert_eq!(uid_of("no such user"), None);
        assert_eq!(uid_of("--help"), None);
    }
}
