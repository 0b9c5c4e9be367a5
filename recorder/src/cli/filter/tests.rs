//! Tests of `cli::filter`.

use clap::Parser as _;

use super::*;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    filter: FilterArguments,
}

fn arguments(words: &[&str]) -> Result<FilterArguments, clap::Error> {
    Line::try_parse_from([&["x"], words].concat()).map(|line| line.filter)
}

fn filter(words: &[&str]) -> Filter {
    Filter::new(arguments(words).unwrap(), Some("web1".to_owned())).unwrap()
}

/// An event line; `more` goes before the flags.
fn line(seq: u64, kind: &str, result: &str, more: &str) -> String {
    format!(
        "{{\"seq\":{seq},\"t\":\"2026-11-23T14:05:3{}.000000000Z\",\"mono\":1,\"kind\":\"{kind}\",\"result\":\"{result}\",\
         \"pid\":4{seq},\"tid\":1,\"ppid\":7,\"comm\":\"sh\",\"exe\":\"/usr/bin/dash\",\"uid\":1000,\"euid\":0,\
         \"loginuid\":1000,\"session\":3,\"container\":null,{more}\"flags\":[]}}\n",
        seq % 10
    )
}

fn log() -> String {
    [
        line(0, "exec", "ok", r#""argv":["sh","-c","echo \"hi\" ü"],"#),
        line(1, "file_write", "ok", r#""path":"/etc/passwd","#),
        line(2, "file_rename", "EACCES", r#""path":"/etc/a/b.conf","path_to":"/etc/b.conf","#),
        line(3, "file_write", "ok", "\"path\":\"/srv/caf\u{10FFE9}/b.conf\","),
        "{\"seq\":4,\"t\":\"2026-11-23T14:05:34.000000000Z\",\"mono\":1,\"kind\":\"auth_failed\",\"result\":\"EACCES\",\
         \"pid\":44,\"uid\":0,\"loginuid\":null,\"session\":null,\"container\":\"abcdef0123\",\"user\":\"mallory\",\
         \"flags\":[\"cut\"]}\n"
            .to_owned(),
        "{\"seq\":5,\"t\":\"2026-11-23T14:05:35.000000000Z\",\"mono\":1,\"kind\":\"gap\",\"result\":\"ok\",\"lost\":12,\
         \"flags\":[]}\n"
            .to_owned(),
    ]
    .concat()
}

/// Numbers of the events that match.
fn found(words: &[&str]) -> Vec<u64> {
    let (filter, log) = (filter(words), log());
    let hits = filter.candidates(log.as_bytes()).filter(|line| filter.matches(line).unwrap());
    hits.map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap()["seq"].as_u64().unwrap())
        .collect()
}

#[test]
fn each_filter_finds_its_events() {
    let table: &[(&[&str], &[u64])] = &[
        (&[], &[0, 1, 2, 3, 4, 5]),
        (&["--kind", "exec"], &[0]),
        (&["--kind", "exec,gap"], &[0, 5]),
        (&["-k", "exec", "-k", "file_*"], &[0, 1, 2, 3]),
        (&["--pid", "41"], &[1]),
        (&["--pid", "4"], &[]),
        (&["--pid", "7"], &[]),
        (&["--uid", "0"], &[4]),
        (&["--user", "root"], &[4]),
        (&["--user", "mallory"], &[4]),
        (&["--user", "nobody at all"], &[]),
        (&["--loginuid", "1000"], &[0, 1, 2, 3]),
        (&["--loginuid", "none"], &[4]),
        (&["--session", "3"], &[0, 1, 2, 3]),
        (&["--session", "-1"], &[4]),
        (&["--exe", "/usr/bin/*"], &[0, 1, 2, 3]),
        (&["--exe", "dash"], &[0, 1, 2, 3]),
        (&["--exe", "/usr/*"], &[]),
        (&["--path", "/etc/passwd"], &[1]),
        (&["--path", "/etc/*"], &[1, 2]),
        (&["--path", "/etc/a/*"], &[2]),
        (&["--path", "/etc/"], &[1, 2]),
        (&["--path", "/etc/**"], &[1, 2]),
        (&["--path", "/**/b.conf"], &[2, 3]),
        (&["--path", "*.conf"], &[2, 3]),
        (&["--path", "{passwd,b.conf}"], &[1, 2, 3]),
        (&["--path", "/srv/caf?/b.conf"], &[3]),
        (&["--path", "[p]asswd"], &[1]),
        (&["--result", "ok"], &[0, 1, 3, 5]),
        (&["--result", "failed"], &[2, 4]),
        (&["--result", "eacces"], &[2, 4]),
        (&["--result", "EPERM"], &[]),
        (&["--container", "abc"], &[4]),
        (&["--host", "web1"], &[0, 1, 2, 3, 4, 5]),
        (&["--host", "web2"], &[]),
        (&["--flag", "cut"], &[4]),
        (&["--flag", "setuid"], &[]),
        (&["--grep", "passwd"], &[1]),
        (&["--grep", "\"hi\" ü"], &[0]),
        (&["--grep", "12"], &[4, 5]),
        (&["--grep", "path"], &[]),
        (&["--since", "2026-11-23T14:05:33Z"], &[3, 4, 5]),
        (&["--until", "2026-11-23T14:05:31Z"], &[0, 1]),
        (&["--since", "@1795442731", "--until", "@1795442732"], &[1, 2]),
        (&["--kind", "file_write", "--path", "*.conf", "--result", "ok"], &[3]),
    ];
    for (words, expected) in table {
        assert_eq!(found(words), *expected, "{words:?}");
    }
}

#[test]
fn senseless_options_are_refused() {
    for words in [
        &["--kind", "exce"][..],
        &["--kind", ""],
        &["--pid", "x"],
        &["--loginuid", "root"],
        &["--result", "bad"],
        &["--result", "E"],
        &["--path", "/etc/[a"],
        &["--path", "/etc/passwd\\"],
        &["--since", "10 parsecs ago"],
        &["--uid", "0", "--user", "root"],
    ] {
        assert!(arguments(words).is_err(), "{words:?}");
    }
    let reversed = arguments(&["--since", "@20", "--until", "@10"]).unwrap();
    assert!(Filter::new(reversed, None).is_err());
}

#[test]
fn lines_that_are_no_events_are_errors_not_misses() {
    assert!(filter(&[]).matches(b"{\"pid\":1}").is_err());
    assert!(filter(&[]).matches(b"\xff").is_err());
    let line = line(1, "exec", "ok", "");
    let cut = &line.as_bytes()[..line.len() - 4];
    assert!(filter(&["--kind", "exec"]).matches(cut).is_err());
    assert!(!filter(&["--kind", "fork"]).matches(cut).unwrap());
    let odd_time = b"{\"seq\":1,\"t\":\"soon\",\"mono\":1,\"kind\":\"gap\",\"result\":\"ok\"}";
    assert!(!filter(&["--since", "@1"]).matches(odd_time).unwrap());
    assert!(filter(&[]).matches(odd_time).unwrap());
}

#[test]
fn the_last_line_may_lack_its_newline() {
    let filter = filter(&["--kind", "gap"]);
    let log = log();
    assert_eq!(filter.candidates(log.trim_end().as_bytes()).count(), 1);
    assert_eq!(filter.candidates(b"").count(), 0);
    assert_eq!(super::tests::filter(&[]).candidates(b"\n\na").count(), 3);
}

#[test]
fn skipping_never_hides_a_match() {
    let log = log();
    for words in [&["--path", "/e*c/{a,b}*"][..], &["--grep", "a\u{10FFE9}"], &["--exe", "?sr/b[i]n/*"]] {
        let filter = filter(words);
        let slow: Vec<&[u8]> =
            log.as_bytes().split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect();
        let slow: Vec<&[u8]> = slow.into_iter().filter(|line| filter.matches(line).unwrap()).collect();
        let fast: Vec<&[u8]> =
            filter.candidates(log.as_bytes()).filter(|line| filter.matches(line).unwrap()).collect();
        assert_eq!(slow, fast, "{words:?}");
    }
}
