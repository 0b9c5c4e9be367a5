//! Programs whose short options take secrets. A short option means nothing by itself: `-p` is a port, a path, a
//! pager and a password, so each is listed with the programs that it belongs to.

/// An option of some programs whose value is a secret.
#[derive(Debug)]
pub(super) struct SecretOption {
    /// Names of programs; one that ends with `*` stands for all that begin so.
    programs: &'static [&'static str],
    /// A word that must stand between the program and the option, when there is one.
    pub(super) after: Option<&'static str>,
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
    SecretOption { programs, after: None, option, is_glued: true, is_apart: true, behind: None }
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
    SecretOption { after: Some("login"), ..option(LOGIN, "-p") },
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

/// A program that is known here, as the last one named on a command line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program<'a>(&'a [u8]);

impl<'a> Program<'a> {
    /// The program that a word names, by its last path component.
    pub(super) fn named(word: &'a [u8]) -> Option<Self> {
        let name = word.rsplit(|&byte| byte == b'/').next().unwrap_or(word);
        let is_known = OTHERS.iter().any(|other| other.as_bytes() == name)
            || OPTIONS.iter().any(|option| option.is_of(name));
        is_known.then_some(Self(name))
    }

    /// Its options that take a secret.
    pub(super) fn options(self) -> impl Iterator<Item = &'static SecretOption> + 'a {
        OPTIONS.iter().filter(move |option| option.is_of(self.0))
    }

    /// Whether it takes the next word, written as a command, to another host.
    pub(super) fn is_remote_shell(self) -> bool {
        self.0 == b"ssh" || self.0 == b"autossh"
    }

    /// Whether `--password` can stand alone before another word: the word is a database then.
    pub(super) fn is_mysql(self) -> bool {
        MYSQL.iter().any(|pattern| matches(pattern, self.0))
    }
}

impl SecretOption {
    fn is_of(&self, name: &[u8]) -> bool {
        self.programs.iter().any(|pattern| matches(pattern, name))
    }
}

fn matches(pattern: &str, name: &[u8]) -> bool {
    pattern.strip_suffix('*').map_or(pattern.as_bytes() == name, |prefix| name.starts_with(prefix.as_bytes()))
}
