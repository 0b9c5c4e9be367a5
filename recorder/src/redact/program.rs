//! Programs whose short options take secrets. A short option means nothing by itself: `-p` is a port, a path, a
//! pager and a password, so each is listed with the programs that it belongs to.

use std::collections::HashMap;
use std::sync::LazyLock;

/// An option of some programs whose value is a secret.
#[derive(Debug)]
pub(super) struct SecretOption {
    /// Names of programs; one that ends with `*` stands for all that begin so.
    programs: &'static [&'static str],
    /// Only of its verb `login`: elsewhere the option means something else.
    pub(super) is_of_login: bool,
    /// The option, or the word before the secret.
    pub(super) option: &'static str,
    /// The value can stand right behind it: `-pSECRET`, or `--auth=SECRET` for a long one.
    pub(super) is_glued: bool,
    /// The value can be the next word.
    pub(super) is_apart: bool,
    /// The secret is what follows this byte in the value: `user:SECRET`.
    pub(super) behind: Option<u8>,
}

const fn option(programs: &'static [&'static str], option: &'static str) -> SecretOption {
    SecretOption { programs, is_of_login: false, option, is_glued: true, is_apart: true, behind: None }
}

const MYSQL: &[&str] = &["mysql*", "mariadb*"];
const LOGIN: &[&str] = &["docker", "podman", "nerdctl", "buildah", "skopeo", "helm", "oras", "crane", "az"];
const ADMIN: &[&str] = &["mysqladmin", "mariadb-admin"];

/// One row an option. docs/events.md has the same table for people.
pub(super) const OPTIONS: &[SecretOption] = &[
    // With a word behind it, `-p` asks for the password: the word is a database.
    SecretOption { is_apart: false, ..option(MYSQL, "-p") },
    SecretOption { is_glued: false, ..option(ADMIN, "password") },
    option(&["mongo*"], "-p"),
    option(&["redis-cli"], "-a"),
    option(&["sqlcmd", "bcp"], "-P"),
    option(&["sshpass"], "-p"),
    SecretOption { behind: Some(b':'), ..option(&["curl"], "-u") },
    SecretOption { behind: Some(b':'), ..option(&["curl"], "--user") },
    SecretOption { behind: Some(b':'), ..option(&["curl"], "-U") },
    SecretOption { behind: Some(b':'), ..option(&["curl"], "--proxy-user") },
    SecretOption { behind: Some(b':'), ..option(&["http", "https", "xh"], "--auth") },
    SecretOption { is_apart: false, ..option(&["openssl"], "pass:") },
    SecretOption { is_glued: false, ..option(&["openssl"], "-k") },
    SecretOption { is_glued: false, ..option(&["openssl"], "-K") },
    SecretOption { is_glued: false, ..option(&["openssl"], "-hmac") },
    SecretOption { is_of_login: true, ..option(LOGIN, "-p") },
    option(&["ldapsearch", "ldapadd", "ldapmodify", "ldapdelete", "ldapmodrdn", "ldapcompare"], "-w"),
    option(&["ldapwhoami", "ldappasswd", "ldapexop"], "-w"),
    option(&["ldappasswd"], "-s"),
    option(&["ldappasswd"], "-a"),
    SecretOption { behind: Some(b'%'), ..option(&["smb*"], "-U") },
    SecretOption { is_glued: false, ..option(&["zip", "unzip", "ipmitool"], "-P") },
    SecretOption { is_apart: false, ..option(&["7z", "7za", "7zr", "7zz"], "-p") },
    SecretOption { is_glued: false, ..option(&["snmp*"], "-c") },
    SecretOption { is_glued: false, ..option(&["snmp*"], "-A") },
    SecretOption { is_glued: false, ..option(&["snmp*"], "-X") },
    SecretOption { is_glued: false, ..option(&["nmcli"], "password") },
    SecretOption { is_glued: false, ..option(&["nmcli"], "wifi-sec.psk") },
];

/// Programs that end what was said about the one before: `sshpass -p SECRET ssh -p 22`.
const OTHERS: &[&str] = &["ssh", "scp", "sftp", "rsync", "ssh-copy-id", "autossh"];

/// The table by program: a flood of words must not cost a look at each row.
#[derive(Debug)]
struct Programs {
    exact: HashMap<&'static [u8], Vec<&'static SecretOption>>,
    /// Those that share the beginning of their names.
    families: Vec<(&'static [u8], Vec<&'static SecretOption>)>,
}

static PROGRAMS: LazyLock<Programs> = LazyLock::new(|| {
    let mut programs = Programs { exact: HashMap::new(), families: Vec::new() };
    for other in OTHERS {
        programs.exact.insert(other.as_bytes(), Vec::new());
    }
    for option in OPTIONS {
        for name in option.programs {
            match name.strip_suffix('*').map(str::as_bytes) {
                None => programs.exact.entry(name.as_bytes()).or_default().push(option),
                Some(family) => match programs.families.iter_mut().find(|(known, _)| *known == family) {
                    Some((_, options)) => options.push(option),
                    None => programs.families.push((family, vec![option])),
                },
            }
        }
    }
    // A program with a row of its own has its family's as well.
    for (name, options) in &mut programs.exact {
        let families = programs.families.iter().filter(|(family, _)| name.starts_with(family));
        options.extend(families.flat_map(|(_, options)| options));
    }
    programs
});

/// A program that is known here, as the last one named on a command line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program<'a> {
    name: &'a [u8],
    /// Its options that take a secret.
    pub(super) options: &'static [&'static SecretOption],
}

impl<'a> Program<'a> {
    /// The program that a word names, by its last path component.
    pub(super) fn named(word: &'a [u8]) -> Option<Self> {
        let name = word.rsplit(|&byte| byte == b'/').next().unwrap_or(word);
        let Programs { exact, families } = &*PROGRAMS;
        let family =
            || families.iter().find(|(family, _)| name.starts_with(family)).map(|(_, options)| options);
        let options = exact.get(name).or_else(family)?;
        Some(Self { name, options })
    }

    /// Whether it takes the next word, written as a command, to another host.
    pub(super) fn is_remote_shell(self) -> bool {
        self.name == b"ssh" || self.name == b"autossh"
    }

    /// Whether `--password` can stand alone before another word: the word is a database then.
    pub(super) fn is_mysql(self) -> bool {
        self.name.starts_with(b"mysql") || self.name.starts_with(b"mariadb")
    }
}
