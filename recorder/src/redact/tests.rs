//! Command lines as people and scripts write them, and what is left of them; as many that must stay untouched.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::commitment::Salt;
use super::*;
use crate::chain::hex;
use crate::event::Kind;
use crate::event::json::{LineContext, Writer};
use crate::event::sample_bytes::task;

/// Arguments are between `|`; what is to be blanked is between `«` and `»`.
const BLANKED: &[(&str, Rule)] = &[
    // Options with a value behind an equals sign.
    ("app|--password=«hunter2»", Rule::Assignment),
    ("app|--password=«my pass phrase»|-v", Rule::Assignment),
    ("app|--db-password=«a=b&c,d»", Rule::Assignment),
    ("app|--TOKEN=«abc»", Rule::Assignment),
    ("app|--api-key=«abc»", Rule::Assignment),
    ("app|--apiKey=«abc»", Rule::Assignment),
    ("app|--client_secret=«abc»", Rule::Assignment),
    ("app|-token=«abc»", Rule::Assignment),
    ("java|-Dspring.datasource.password=«s3cret»|-jar|app.jar", Rule::Assignment),
    ("java|-Djavax.net.ssl.keyStorePassword=«changeit»", Rule::Assignment),
    ("mysql|--password=«hunter2»|db", Rule::Assignment),
    ("mysqlsh|--password1=«hunter2»", Rule::Assignment),
    // Options with a value as the next word.
    ("app|--password|«hunter2»|file", Rule::Option),
    ("app|--passphrase|«three word phrase»", Rule::Option),
    ("app|--secret|«abc»", Rule::Option),
    ("gpg|--batch|--passphrase|«abc»|-d|x.gpg", Rule::Option),
    ("curl|--oauth2-bearer|«abc»|https://example.org", Rule::Option),
    ("app|-password|«abc»", Rule::Option),
    ("keytool|-storepass|«changeit»|-list", Rule::Option),
    ("docker|swarm|join|--token|«SWMTKN-1-abc»|10.0.0.1:2377", Rule::Option),
    ("kubectl|create|secret|docker-registry|x|--docker-password|«abc»", Rule::Option),
    ("aws|configure|set|aws_secret_access_key|«abc/def»", Rule::Option),
    ("npm|config|set|//registry.npmjs.org/:_authToken|«abc»", Rule::Option),
    // Assignments.
    ("env|DB_PASSWORD=«hunter2»|app", Rule::Assignment),
    ("env|AWS_SECRET_ACCESS_KEY=«wJalrXUtnFEMI/K7MDENG»|aws|s3|ls", Rule::Assignment),
    ("env|GITHUB_TOKEN=«abc»|gh", Rule::Assignment),
    ("env|SECRET_KEY_BASE=«abc»|rails", Rule::Assignment),
    ("env|MYSQL_PWD=«abc»|mysql", Rule::Assignment),
    ("docker|run|-e|POSTGRES_PASSWORD=«with space»|postgres", Rule::Assignment),
    ("docker|run|-ePOSTGRES_PASSWORD=«abc»|postgres", Rule::Assignment),
    ("docker|build|--build-arg|NPM_TOKEN=«abc»|.", Rule::Assignment),
    ("kubectl|create|secret|generic|x|--from-literal=password=«a,b»", Rule::Assignment),
    ("helm|upgrade|x|--set|a=1,db.password=«abc»,c=2", Rule::Assignment),
    ("mount|-o|username=bob,password=«abc»,vers=3|//s/x|/mnt", Rule::Assignment),
    ("curl|-d|user=bob&password=«abc»&go=1|https://example.org", Rule::Assignment),
    ("curl|https://example.org/?a=1&access_token=«abc»#top", Rule::Assignment),
    ("sqlx|Server=h;Password=«abc»;Database=d", Rule::Assignment),
    ("psql|host=h password=«abc» dbname=d", Rule::Assignment),
    ("python3|-c|connect(password=\"«abc»\", host='h')", Rule::Assignment),
    ("php|-r|$password = '«abc»'; run();", Rule::Assignment),
    // Short options of known programs.
    ("mysql|-uroot|-p«hunter2»|db", Rule::Program),
    ("/usr/bin/mysqldump|-p«hunter2»|db", Rule::Program),
    ("mariadb-admin|-p«hunter2»|status", Rule::Program),
    ("sudo|-u|app|mysql|-p«hunter2»", Rule::Program),
    ("docker|exec|-it|db|mysql|-p«hunter2»", Rule::Program),
    ("mysqladmin|-u|root|password|«hunter2»", Rule::Program),
    ("mongosh|-u|bob|-p|«hunter2»", Rule::Program),
    ("redis-cli|-h|cache|-a|«hunter2»|ping", Rule::Program),
    ("mysql|-p«my phrase»|db", Rule::Program),
    ("sshpass|-p|«hunter2»|ssh|-p|22|bob@host", Rule::Program),
    ("sshpass|-p«hunter2»|scp|x|host:", Rule::Program),
    ("curl|-u|alice:«hunter2»|https://example.org", Rule::Program),
    ("curl|-ualice:«hunter2»|https://example.org", Rule::Program),
    ("curl|-sSfu|alice:«hun:ter2»|https://example.org", Rule::Program),
    ("curl|--user|alice:«hunter2»", Rule::Program),
    ("curl|--proxy-user|alice:«hunter2»", Rule::Program),
    ("openssl|enc|-aes-256-cbc|-pass|pass:«hunter2»|-in|x", Rule::Program),
    ("openssl|rsa|-passin|pass:«hunter2»", Rule::Program),
    ("openssl|enc|-k|«hunter2»", Rule::Program),
    ("docker|login|-u|bob|-p|«hunter2»|registry.example.org", Rule::Program),
    ("ldapsearch|-x|-D|cn=admin|-w|«hunter2»|-b|dc=x", Rule::Program),
    ("smbclient|//srv/x|-U|bob%«hunter2»", Rule::Program),
    ("zip|-P|«hunter2»|x.zip|f", Rule::Program),
    ("7z|a|-p«hunter2»|x.7z|f", Rule::Program),
    ("ipmitool|-U|admin|-P|«hunter2»|power|status", Rule::Program),
    ("nmcli|dev|wifi|connect|home|password|«hunter2»", Rule::Program),
    // URLs.
    ("git|clone|https://bob:«hunter2»@example.org/x.git", Rule::Url),
    ("git|clone|https://oauth2:«p@ss»@example.org/x.git", Rule::Url),
    ("psql|postgresql://app:«hunter2»@db:5432/app?sslmode=require", Rule::Url),
    ("redis-cli|-u|redis://:«hunter2»@cache:6379/0", Rule::Url),
    ("env|http_proxy=http://bob:«hunter2»@proxy:3128|apt-get|update", Rule::Url),
    // Headers.
    ("curl|-H|Authorization: Bearer «abc.def»", Rule::Header),
    ("curl|-H|authorization: Basic «YWxpY2U6aHVudGVyMg==»", Rule::Header),
    ("curl|-H|Authorization: «0123456789abcdef»", Rule::Header),
    ("curl|-H|Authorization: Digest «username=\"bob\", response=\"abc\"»", Rule::Header),
    ("curl|-HX-Api-Key: «abc»", Rule::Header),
    ("curl|--header=X-Vault-Token: «abc»", Rule::Header),
    ("curl|-H|PRIVATE-TOKEN: «abc»", Rule::Header),
    ("curl|-H|Cookie: «session=abc; theme=dark»", Rule::Header),
    // Members.
    ("curl|-d|{\"user\":\"bob\",\"password\":\"«hun\\\"ter2»\",\"go\":1}", Rule::Member),
    ("curl|-d|{'apiKey': '«abc»'}", Rule::Member),
    // Statements.
    ("mysql|-e|CREATE USER bob IDENTIFIED BY '«hunter2»'", Rule::Sql),
    ("psql|-c|ALTER ROLE bob WITH ENCRYPTED PASSWORD '«hunter2»' LOGIN", Rule::Sql),
    // Forms.
    ("gh|x|«ghp_0123456789abcdefghijABCDEFGHIJ012345»", Rule::Token),
    ("x|a «github_pat_11ABCDEFG0123456789_abcdefghij» b", Rule::Token),
    ("x|«AKIAIOSFODNN7EXAMPLE»", Rule::Token),
    ("x|«glpat-0123456789abcdefghij»", Rule::Token),
    ("x|«xoxb-123456789012-abcdefghijkl»", Rule::Token),
    ("x|«sk_live_0123456789abcdefghij»", Rule::Token),
    ("x|«eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl»", Rule::Token),
    ("git|clone|https://«ghp_0123456789abcdefghijABCDEFGHIJ012345»@github.com/x", Rule::Token),
    (
        "x|-----BEGIN OPENSSH PRIVATE KEY-----«\nb3Blbn\n»-----END OPENSSH PRIVATE KEY-----\n",
        Rule::PrivateKey,
    ),
    // Inside of shell text.
    ("sh|-c|mysql -u root -p«hunter2» db | gzip > x.gz", Rule::Program),
    ("bash|-lc|app --password «hunter2» && done", Rule::Option),
    ("bash|-c|app --password '«my phrase»'; done", Rule::Option),
    ("sh|-c|TOKEN=«abc»; export TOKEN; app", Rule::Assignment),
    ("sh|-c|export PASSWORD='«a b»' && app", Rule::Assignment),
    ("sh|-c|curl -H \"Authorization: Bearer «abc»\" https://example.org", Rule::Header),
    ("ssh|host|mysql -p«hunter2» db", Rule::Program),
    ("su|-|app|-c|sh -c 'mysql -p«hunter2»'", Rule::Program),
    ("sh|-c|cd /x;curl -u alice:«hunter2» https://example.org", Rule::Program),
];

/// Near misses: not a byte may be touched.
const UNTOUCHED: &[&str] = &[
    "mkdir|-p|/srv/a/b",
    "cp|-p|a|b",
    "ssh|-p|2222|host",
    "ssh|-p2222|host",
    "docker|run|-p|8080:80|nginx",
    "docker|run|--name|mysql|-p3306:3306|mysql:8",
    "docker|run|-v|/x:/var/lib/mysql|-p3306:3306|mysql:8",
    "mysql|-u|root|-p|db",
    "mysql|--password|db",
    "mysql|-P3306|db",
    "mysql|--protocol=tcp",
    "app|--password",
    "app|--password|--user|bob",
    "app|--password=",
    "app|--password-file=/run/secrets/db",
    "app|--password-file|/run/secrets/db",
    "docker|login|--password-stdin|-u|bob",
    "docker|build|--secret|id=npm,src=.npmrc|.",
    "ansible-playbook|--ask-become-pass|site.yml",
    "ansible-playbook|--ask-password|site.yml",
    "aws|s3api|list-objects|--starting-token|abc",
    "llm|--max-tokens|100",
    "app|--tokenizer=bert",
    "app|--no-token|x",
    "app|--show-password=true",
    "ffmpeg|-pass|1|-i|x",
    "openssl|rsa|-passin|env:PW",
    "openssl|rsa|-passin|file:/x",
    "openssl|req|-key|server.key",
    "curl|-u|alice|https://example.org",
    "curl|https://example.org:8443/a@b",
    "curl|-H|Content-Type: application/json",
    "curl|-H|Accept-Encoding: key",
    "git|clone|git@github.com:x/y.git",
    "git|clone|https://bob@example.org/x.git",
    "git|clone|ssh://git@example.org:22/x.git",
    "npm|install|https://registry.example.org/@babel/core",
    "rsync|-a|bob@host:/x|/y",
    "scp|-P|2222|x|host:",
    "env|PASSWORD_FILE=/run/secrets/db|app",
    "env|TOKENIZERS_PARALLELISM=false|python3",
    "env|PWD=/root|OLDPWD=/srv|app",
    "env|XAUTHORITY=/home/bob/.Xauthority|SSH_AUTH_SOCK=/run/x|app",
    "env|GPG_KEY=A035C8C19219BA821ECEA86B64E628F8D684696D|app",
    "env|KEYMAP=de|app",
    "ssh|-oPasswordAuthentication=no|-o|PreferredAuthentications=password|host",
    "git|commit|-m|Say why --password is not enough for mysql -pX",
    "git|commit|-m|authorization: say who may",
    "git|log|--grep=password",
    "grep|-rn|password=|/etc",
    "grep|-r|--exclude-dir=secret|token|.",
    "find|/|-name|*password*",
    "vim|/etc/passwd",
    "passwd|alice",
    "kubectl|get|secret|db|-o|yaml",
    "systemctl|restart|token.service",
    "sh|-c|app --password \"$PASSWORD\" --token=${TOKEN}",
    "sh|-c|[ \"$token\" == x ] && echo \"$password\"",
    "ssh-keygen|-t|ed25519|-f|/root/.ssh/key",
    "apt-key|list",
    "timedatectl|set-timezone|Asia/Tokyo",
    "x|-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----",
    "x|eyJhbGciOiJIUzI1NiJ9",
    "dpkg|-i|glib-networking-services_2.66.0-2_all.deb",
    "git|show|da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "zip|-r|x.zip|dir",
    "unzip|-p|x.zip",
    "sshpass|-f|/run/pw|ssh|-p|22|host",
    "sshpass|-e|ssh|-p22|host",
];

/// Compiled once: it takes longer than all it is used for.
static BUILTIN: LazyLock<Redactor> = LazyLock::new(|| redactor(&[]));
static WITH_PATTERN: LazyLock<Redactor> = LazyLock::new(|| redactor(&["a(?P<secret>b*)"]));

fn redactor(patterns: &[&str]) -> Redactor {
    let rules = config::Redact {
        patterns: patterns.iter().map(ToString::to_string).collect(),
        ..config::Redact::default()
    };
    Redactor::new(&rules, SaltKey::new(&[7; 32])).unwrap()
}

fn exec<'a>(argv: &[&'a [u8]]) -> Event<'a> {
    let file = argv.first().copied().unwrap_or_default();
    let exec = Exec {
        argv: argv.iter().map(|text| Cow::Borrowed(*text)).collect(),
        argc: argv.len() as u64,
        file,
        ..Exec::default()
    };
    Event { mono: 5, kind: Kind::Exec, errno: 0, task: Some(task()), flags: 0, body: Body::Exec(exec) }
}

fn body<'e, 'a>(event: &'e Event<'a>) -> &'e Exec<'a> {
    match &event.body {
        Body::Exec(exec) => exec,
        other => panic!("{other:?}"),
    }
}

fn line(event: &Event<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    Writer::default().append(&mut out, &LineContext { seq: 7, wall_ns: 0, boot: "0a1b2c3d" }, event);
    out
}

fn salt(index: u32) -> Salt {
    SaltKey::new(&[7; 32]).salt(Place { seq: 7, mono: 5, index })
}

/// The command line of a row, and its marked secrets.
fn parse(row: &str) -> (String, Vec<String>) {
    let secrets = row.split('«').skip(1).map(|rest| rest.split('»').next().unwrap().to_owned()).collect();
    (row.replace(['«', '»'], ""), secrets)
}

fn marked(row: &str) -> String {
    let mut text = String::new();
    for (index, part) in row.split(['«', '»']).enumerate() {
        text += if index % 2 == 0 { part } else { "[redacted]" };
    }
    text
}

#[test]
fn variables_are_blanked_by_the_same_rules() {
    let mut event = exec(&[b"app", b"--token", b"one"]);
    let Body::Exec(exec) = &mut event.body else { panic!() };
    exec.env = [&b"LD_PRELOAD=/lib/x.so"[..], b"DB_PASSWORD=two", b"PROXY=http://bob:three@host/"]
        .map(Cow::Borrowed)
        .to_vec();
    let redacted = BUILTIN.redact(7, &event).unwrap();
    let text = String::from_utf8(line(&redacted)).unwrap();
    let env =
        r#""env":["LD_PRELOAD=/lib/x.so","DB_PASSWORD=[redacted]","PROXY=http://bob:[redacted]@host/"]"#;
    assert!(text.contains(env), "{text}");
    assert!(text.contains(r#"{"argument":2,"at":0,"#), "{text}");
    assert!(text.contains(r#"{"env":1,"at":12,"rule":"assignment""#), "{text}");
    assert!(text.contains(r#"{"env":2,"at":17,"rule":"url""#), "{text}");
    for (index, secret) in [(0, &b"one"[..]), (1, b"two"), (2, b"three")] {
        let commitment = body(&redacted).redacted[index as usize].commitment;
        assert_eq!(commitment, commit(&salt(index), secret));
    }
}

fn shown(exec: &Exec<'_>) -> String {
    let texts: Vec<_> = exec.argv.iter().map(|argument| String::from_utf8_lossy(argument)).collect();
    texts.join("|")
}

#[test]
fn secrets_are_blanked_and_nothing_else() {
    let redactor = &*BUILTIN;
    for (row, rule) in BLANKED {
        // A pipe between spaces is a shell's.
        let row = row.replace(" | ", " \u{1} ");
        let (command, secrets) = parse(&row);
        let argv: Vec<_> = command.split('|').map(str::as_bytes).collect();
        let event = exec(&argv);
        let redacted = redactor.redact(7, &event).unwrap_or_else(|| panic!("untouched: {row}"));
        let exec = body(&redacted);
        assert_eq!(shown(exec), marked(&row));
        assert!(redacted.flags & flag::REDACTED != 0);
        assert_eq!(exec.redacted.len(), secrets.len(), "{row}");
        for ((redaction, secret), index) in exec.redacted.iter().zip(&secrets).zip(0..) {
            assert_eq!(redaction.rule, rule.name(), "{row}");
            let argument = &exec.argv[redaction.argument as usize];
            assert!(argument[redaction.at as usize..].starts_with(BLANK), "{row}");
            assert_eq!(redaction.commitment, commit(&salt(index), secret.as_bytes()), "{row}");
            assert_ne!(redaction.commitment, commit(&salt(index), b"another"), "{row}");
            assert!(!redaction.is_cut);
        }
    }
}

#[test]
fn near_misses_stay_as_they_are() {
    let redactor = &*BUILTIN;
    for row in UNTOUCHED {
        let argv: Vec<_> = row.split('|').map(str::as_bytes).collect();
        let event = exec(&argv);
        let redacted = redactor.redact(7, &event);
        assert!(redacted.is_none(), "{row} became {}", shown(body(&redacted.unwrap())));
    }
}

/// The filter may only pass over what no rule finds.
#[test]
fn the_filter_trips_for_every_row() {
    let builtin = BUILTIN.builtin.as_ref().unwrap();
    for (row, _) in BLANKED {
        let (command, _) = parse(row);
        let argv: Vec<_> = command.split('|').map(str::as_bytes).collect();
        assert!(builtin.may_find(body(&exec(&argv))), "{row}");
    }
}

#[test]
fn several_secrets_of_one_line_have_salts_of_their_own() {
    let event = exec(&[b"mysql", b"-psame", b"--token=same", b"https://a:same@h/?token=same"]);
    let redacted = BUILTIN.redact(7, &event).unwrap();
    let exec = body(&redacted);
    assert_eq!(shown(exec), "mysql|-p[redacted]|--token=[redacted]|https://a:[redacted]@h/?token=[redacted]");
    let places: Vec<_> = exec.redacted.iter().map(|redaction| (redaction.argument, redaction.at)).collect();
    assert_eq!(places, [(1, 2), (2, 8), (3, 10), (3, 30)]);
    let mut commitments: Vec<_> = exec.redacted.iter().map(|redaction| redaction.commitment).collect();
    commitments.sort_unstable();
    commitments.dedup();
    assert_eq!(commitments.len(), 4);
}

#[test]
fn bytes_that_are_no_text_are_blanked_whole() {
    let event = exec(&[
        b"app",
        b"--password",
        b"\xff\xfe\x80=\xc3",
        b"https://\xe9:p\xe9w@h",
        b"-e\xff",
        b"TOKEN=\xff",
    ]);
    let redacted = BUILTIN.redact(7, &event).unwrap();
    let exec = body(&redacted);
    let expected: [&[u8]; 6] =
        [b"app", b"--password", BLANK, b"https://\xe9:[redacted]@h", b"-e\xff", b"TOKEN=[redacted]"];
    assert_eq!(exec.argv, expected);
    assert_eq!(exec.redacted[0].commitment, commit(&salt(0), b"\xff\xfe\x80=\xc3"));
}

#[test]
fn what_the_probe_cut_is_blanked_as_far_as_it_goes() {
    let table: &[(&[&[u8]], &str)] = &[
        (&[b"app", b"--password=hun"], "app|--password=[redacted]"),
        (&[b"app", b"--password", b"hun"], "app|--password|[redacted]"),
        (&[b"app", b"https://bob:hunt"], "app|https://bob:[redacted]"),
        (&[b"app", b"ghp_0123"], "app|[redacted]"),
        (&[b"app", b"x eyJhbGciOiJI"], "app|x [redacted]"),
        (&[b"app", b"{\"password\":\"hun"], "app|{\"password\":\"[redacted]"),
        (&[b"app", b"-----BEGIN PRIVATE KEY-----\nabc"], "app|-----BEGIN PRIVATE KEY-----[redacted]"),
    ];
    let redactor = &*BUILTIN;
    for (argv, expected) in table {
        let event = Event { flags: flag::CUT, ..exec(argv) };
        let redacted = redactor.redact(7, &event).unwrap_or_else(|| panic!("untouched: {expected}"));
        assert_eq!(shown(body(&redacted)), *expected);
        assert!(body(&redacted).redacted.last().unwrap().is_cut, "{expected}");
        assert_eq!(redacted.flags, flag::CUT | flag::REDACTED);
    }
    // A port is none; and what is whole is not cut.
    let port = Event { flags: flag::CUT, ..exec(&[b"app", b"https://host:80"]) };
    assert!(redactor.redact(7, &port).is_none());
    let event = Event { flags: flag::CUT, ..exec(&[b"app", b"--password=hunter2", b"x"]) };
    assert!(!body(&redactor.redact(7, &event).unwrap()).redacted[0].is_cut);
}

#[test]
fn own_patterns_add_to_the_rules_or_stand_alone() {
    let event = exec(&[b"app", b"--pin", b"1234", b"--password=x1"]);
    let with = redactor(&["--pin (?P<secret>[0-9]+)"]).redact(7, &event).unwrap();
    assert_eq!(shown(body(&with)), "app|--pin|[redacted]|--password=[redacted]");
    assert_eq!(body(&with).redacted[0].rule, "pattern");
    let rules = config::Redact {
        builtin: false,
        patterns: vec!["--pin (?P<secret>[0-9]+)".to_owned()],
        ..config::Redact::default()
    };
    let alone = Redactor::new(&rules, SaltKey::new(&[7; 32])).unwrap().redact(7, &event).unwrap();
    assert_eq!(shown(body(&alone)), "app|--pin|[redacted]|--password=x1");
}

#[test]
fn a_flood_of_secrets_is_blanked_with_a_bounded_list() {
    let many: Vec<u8> = (0..500).flat_map(|n| format!("x TOKEN=t{n} ").into_bytes()).collect();
    let event = exec(&[b"app", &many]);
    let redacted = BUILTIN.redact(7, &event).unwrap();
    let exec = body(&redacted);
    assert_eq!(exec.redacted.len(), COMMITMENTS_MAX);
    assert_eq!(shown(exec).matches("TOKEN=[redacted]").count(), 500);
}

#[test]
fn other_events_and_failed_starts() {
    let redactor = &*BUILTIN;
    let failed = Event { kind: Kind::ExecFailed, errno: 2, ..exec(&[b"app", b"--password=x1"]) };
    assert!(redactor.redact(7, &failed).is_some());
    let exit = Event { kind: Kind::Exit, body: Body::Exit(crate::event::Exit::default()), ..exec(&[]) };
    assert!(redactor.redact(7, &exit).is_none());
}

/// The page shows the field as it is written.
#[test]
fn the_page_shows_a_real_redaction() {
    let event = exec(&[b"mysql", b"-phunter2", b"shop"]);
    let text = String::from_utf8(line(&BUILTIN.redact(7, &event).unwrap())).unwrap();
    let from = text.find("\"argv\"").unwrap();
    let to = text.find(",\"cwd\"").unwrap();
    let page = include_str!("../../../docs/events.md");
    assert!(page.contains(&text[from..to]), "{}", &text[from..to]);
    for rule in BLANKED.iter().map(|(_, rule)| rule).chain([&Rule::Pattern]) {
        assert!(page.contains(&format!("| `{}` |", rule.name())), "rule {} has no row", rule.name());
    }
}

/// Long enough that it can't be in the rest of the line by chance.
fn secret() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[!-~]{12,40}".prop_map(String::into_bytes),
        prop::collection::vec(1..=255u8, 12..40),
        "[a-z ]{12,40}".prop_map(String::into_bytes),
    ]
    .prop_filter("a word of its own", |secret| {
        !secret[0].is_ascii_whitespace() && secret[0] != b'-' && secret[0] != b'='
    })
}

proptest! {
    #[test]
    fn a_secret_never_gets_into_the_line(
        secret in secret(),
        before in prop::collection::vec("[ -~]{0,12}", 0..4),
        form in 0..6usize,
    ) {
        let glued = |prefix: &str| vec![[prefix.as_bytes(), &secret].concat()];
        let row = match form {
            0 => glued("--password="),
            1 => vec![b"--password".to_vec(), secret.clone()],
            2 => glued("API_TOKEN="),
            3 => [vec![b"mysql".to_vec()], glued("-pX")].concat(),
            4 => [vec![b"curl".to_vec(), b"-u".to_vec()], glued("alice:")].concat(),
            _ => vec![b"sshpass".to_vec(), b"-p".to_vec(), secret.clone()],
        };
        let argv: Vec<&[u8]> =
            [&b"app"[..]].into_iter().chain(before.iter().map(String::as_bytes)).chain(row.iter().map(Vec::as_slice)).collect();
        // A text behind `-c` is a script: its words are looked at one by one.
        prop_assume!(!before.iter().any(|word| word.ends_with('c') || word.contains("eval") || word.contains("ssh")));
        let event = exec(&argv);
        let redacted = BUILTIN.redact(7, &event).unwrap();
        for argument in &body(&redacted).argv {
            prop_assert!(memchr::memmem::find(argument, &secret).is_none(), "{:?}", shown(body(&redacted)));
        }
        let line = line(&redacted);
        prop_assert!(memchr::memmem::find(&line, &secret).is_none());
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&line).is_ok());
    }

    /// Whatever programs are given: no panic, and everything but the blanks stays.
    #[test]
    fn any_command_line_keeps_what_is_not_blanked(
        words in prop::collection::vec("(--?(password|token|u|p|c)|mysql|curl|ssh|sh|['\"=:@&; $\\\\a-c]{0,9}|TOKEN=|https://a:|\\PC{0,5})", 0..12),
        cut in any::<bool>(),
    ) {
        let argv: Vec<_> = words.iter().map(String::as_bytes).collect();
        let event = Event { flags: if cut { flag::CUT } else { 0 }, ..exec(&argv) };
        if let Some(redacted) = WITH_PATTERN.redact(7, &event) {
            let exec = body(&redacted);
            prop_assert_eq!(exec.argv.len(), argv.len());
            for (now, then) in exec.argv.iter().zip(&argv) {
                let kept: Vec<_> = String::from_utf8_lossy(now).split("[redacted]").map(str::to_owned).collect();
                let mut rest = String::from_utf8_lossy(then).into_owned();
                for part in kept {
                    let at = rest.find(&part);
                    prop_assert!(at.is_some());
                    rest = rest.split_off(at.unwrap() + part.len());
                }
            }
            for redaction in &exec.redacted {
                let argument = &exec.argv[redaction.argument as usize];
                prop_assert!(argument[redaction.at as usize..].starts_with(BLANK));
            }
        }
    }
}

/// Fixed, so that a change of the derivation can't pass unseen.
#[test]
fn a_commitment_is_the_documented_one() {
    let event = exec(&[b"app", b"--password=hunter2"]);
    let redacted = BUILTIN.redact(7, &event).unwrap();
    let redaction = &body(&redacted).redacted[0];
    assert_eq!(hex(&redaction.commitment), hex(&commit(&salt(0), b"hunter2")));
}
