//! Which names of options, variables and members say that their value is a secret.

/// What a secret's name ends with, without separators: `db-password`, `dbPassword` and `DB_PASSWORD` all do.
const ENDINGS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "apikey",
    "secretkey",
    "accesskey",
    "authkey",
    "signingkey",
    "encryptionkey",
    "masterkey",
    "storepass",
    "keypass",
    "bearer",
];
/// Short ones, which must be a part of their own: `db_pass`, not `bypass`.
const LAST_PARTS: &[&str] = &["pass", "psk"];
/// Parts of an environment variable's name that make it secret wherever they stand: `SECRET_KEY_BASE`.
const PARTS: &[&str] = &["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN"];
/// Last parts that name something about a secret rather than the secret.
const ABOUT: &[&str] = &[
    "FILE",
    "PATH",
    "DIR",
    "NAME",
    "ID",
    "ARN",
    "URL",
    "URI",
    "ENDPOINT",
    "ENV",
    "VAR",
    "FIELD",
    "HEADER",
    "POLICY",
    "LENGTH",
    "LEN",
    "SIZE",
    "MIN",
    "MAX",
    "COUNT",
    "TTL",
    "AGE",
    "EXPIRY",
    "EXPIRES",
    "TIMEOUT",
    "TYPE",
    "FORMAT",
    "ALGORITHM",
    "ISSUER",
    "AUDIENCE",
    "STORE",
    "MANAGER",
    "BACKEND",
    "PROVIDER",
    "COMMAND",
    "CMD",
    "PROMPT",
    "STDIN",
    "FD",
    "REQUIRED",
    "ENABLED",
    "DISABLED",
    "AUTHENTICATION",
    "VERSION",
    "MODE",
];
/// First parts of options that take no secret: they ask for one, print one, or mean another kind of token.
const NOT_OPTIONS: &[&str] = &[
    "no",
    "ask",
    "show",
    "with",
    "without",
    "use",
    "print",
    "list",
    "get",
    "generate",
    "prompt",
    "force",
    "require",
    "need",
    "change",
    "reset",
    "next",
    "page",
    "starting",
    "continuation",
    "stop",
    "eos",
    "bos",
    "pad",
];
/// Longest end of a name that is looked at.
const LOOKED_AT: usize = 48;

/// Whether a byte can be part of a name.
pub(super) const fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || is_separator(byte)
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b'_' | b'-' | b'.' | b'[' | b']')
}

/// Whether `NAME=VALUE` has a secret for a value.
pub(super) fn is_secret(name: &[u8]) -> bool {
    let name = without_number(name);
    if name.is_empty() {
        return false;
    }
    if ends_secretly(name) {
        return true;
    }
    let mut parts = name.split(|&byte| byte == b'_').filter(|part| !part.is_empty());
    let is_variable = name.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
    let is_about = |part: &[u8]| ABOUT.iter().any(|word| word.as_bytes() == part);
    is_variable
        && !parts.clone().next_back().is_some_and(is_about)
        && parts.any(|part| PARTS.iter().any(|word| part.ends_with(word.as_bytes())))
}

/// Whether `--NAME VALUE` has a secret for a value; `name` without its dashes.
pub(super) fn is_secret_option(name: &[u8]) -> bool {
    let first = name.split(|&byte| is_separator(byte)).next().unwrap_or_default();
    let takes_none = NOT_OPTIONS.iter().any(|word| first.eq_ignore_ascii_case(word.as_bytes()));
    !(takes_none && first.len() < name.len()) && ends_secretly(without_number(name))
}

/// `password_1` is `password`.
fn without_number(name: &[u8]) -> &[u8] {
    let count = name.iter().rev().take_while(|byte| byte.is_ascii_digit() || is_separator(**byte)).count();
    name.get(..name.len() - count).unwrap_or_default()
}

fn ends_secretly(name: &[u8]) -> bool {
    let mut end = Vec::with_capacity(LOOKED_AT);
    let letters = name.iter().rev().filter(|byte| !is_separator(**byte));
    end.extend(letters.take(LOOKED_AT).map(u8::to_ascii_lowercase));
    // Read backwards, so that both begin where the name ends.
    let ends_with =
        |ending: &&str| ending.bytes().rev().zip(&end).filter(|(a, b)| a == *b).count() == ending.len();
    let last = last_part(name);
    let is_last = |word: &&str| last.eq_ignore_ascii_case(word.as_bytes());
    // The working directory is PWD, and OLDPWD.
    let is_pwd = last.eq_ignore_ascii_case(b"pwd") && last.len() < name.len();
    ENDINGS.iter().any(ends_with) || LAST_PARTS.iter().any(is_last) || is_pwd
}

/// What is behind the last separator, or begins with the last capital behind a small letter.
fn last_part(name: &[u8]) -> &[u8] {
    let behind = name.iter().rposition(|&byte| is_separator(byte)).map_or(0, |at| at + 1);
    let part = name.get(behind..).unwrap_or_default();
    let capital = part.windows(2).rposition(
        |pair| matches!(pair, [small, big] if small.is_ascii_lowercase() && big.is_ascii_uppercase()),
    );
    capital.and_then(|at| part.get(at + 1..)).unwrap_or(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets() {
        let names = "password db_password dbPassword DB_PASSWORD PASSWORD1 db.password_2 user[password] passwd
            AWS_SECRET_ACCESS_KEY SECRET_KEY_BASE GITHUB_TOKEN MYSQL_PWD dbPwd db_pass adminPass wifi-sec.psk
            PGPASSWORD REDISCLI_AUTH_TOKEN api-key apiKey X_API_KEY clientSecret TOKEN_PROD _authToken storepass";
        for name in names.split_whitespace() {
            assert!(is_secret(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn names_of_other_things() {
        let names = "PASSWORD_FILE TOKEN_URL SECRET_NAME TOKENIZERS_PARALLELISM MAX_TOKENS PWD OLDPWD bypass compass
            KEY MONKEY SSH_AUTH_SOCK XAUTHORITY GPG_KEY keyring tokenizer passwordless PasswordAuthentication pass-through
            password-file PATH secretary SECRETS_DIR AWS_ACCESS_KEY_ID key";
        for name in names.split_whitespace() {
            assert!(!is_secret(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn options_that_take_no_secret() {
        for name in
            ["ask-password", "no-token", "with-token", "starting-token", "password-stdin", "show-secret"]
        {
            assert!(!is_secret_option(name.as_bytes()), "{name}");
        }
        for name in ["password", "token", "docker-password", "oauth2-bearer", "passphrase", "use"] {
            assert_eq!(is_secret_option(name.as_bytes()), name != "use", "{name}");
        }
    }
}
