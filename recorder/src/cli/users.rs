//! User names of this host: `/etc/passwd` first, then `getent passwd`, which asks whatever directory the host uses
//! (LDAP, sssd). The recorder itself never needs names; only `--user` does.

use std::process::{Command, Stdio};

/// The id of this user; `None` when this host knows no such user.
#[must_use]
pub fn uid_of(name: &str) -> Option<u32> {
    let local = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    uid_in(&local, name).or_else(|| {
        let asked =
            Command::new("getent").args(["passwd", "--", name]).stderr(Stdio::null()).output().ok()?;
        uid_in(str::from_utf8(&asked.stdout).ok()?, name)
    })
}

/// Looks a name up in text of the form of passwd(5).
fn uid_in(passwd: &str, name: &str) -> Option<u32> {
    let is_name = |line: &&str| line.split(':').next() == Some(name);
    passwd.lines().find(is_name)?.split(':').nth(2)?.parse().ok()
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
    fn names_are_found_whole() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/sh\nbroken\n";
        assert_eq!(uid_in(passwd, "ann"), Some(1000));
        assert_eq!(uid_in(passwd, "an"), None);
        assert_eq!(uid_in(passwd, "broken"), None);
    }

    #[test]
    fn root_is_known_and_nobody_at_all_is_not() {
        assert_eq!(uid_of("root"), Some(0));
        assert_eq!(uid_of("no such user"), None);
        assert_eq!(uid_of("--help"), None);
    }
}
