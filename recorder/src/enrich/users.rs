//! Names of user ids, from the user database file of this host. Names are for people: evidence holds the numbers.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// Users by id and by name.
#[derive(Clone, Debug, Default)]
pub struct Users {
    names: HashMap<u32, String>,
}

impl Users {
    /// Reads a file in the form of passwd(5). A missing or odd file gives no names.
    #[must_use]
    pub fn read(passwd: &Path) -> Self {
        Self::parse(&String::from_utf8_lossy(&fs::read(passwd).unwrap_or_default()))
    }

    /// Reads text in the form of passwd(5). The first name of an id wins, as it does for getpwuid(3).
    #[must_use]
    pub fn parse(passwd: &str) -> Self {
        let mut names = HashMap::new();
        for line in passwd.lines() {
            let mut fields = line.split(':');
            if let (Some(name), Some(id)) = (fields.next(), fields.nth(1))
                && let Ok(id) = id.parse()
                && !name.is_empty()
            {
                names.entry(id).or_insert_with(|| name.to_owned());
            }
        }
        Self { names }
    }

    /// The name of an id.
    #[must_use]
    pub fn name(&self, id: u32) -> Option<&str> {
        self.names.get(&id).map(String::as_str)
    }

    /// The id of a name.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<u32> {
        self.names.iter().filter(|(_, known)| *known == name).map(|(id, _)| *id).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_passwd_lines() {
        let users = Users::parse("root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:/x\nodd\nalice:x:1000:1::/:\n");
        assert_eq!((users.name(0), users.name(1000), users.name(5)), (Some("root"), Some("alice"), None));
        assert_eq!((users.id("alice"), users.id("nobody")), (Some(1000), None));
    }
}
