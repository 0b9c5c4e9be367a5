//! Real logins, right and wrong: each leaves its login, logout and failures with user, service and remote host.
//!
//! cron starts jobs at full minutes only, so its part takes up to a minute, beside the others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "test code, of which each test uses a part"
)]

mod logins;
mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use logins::{PASSWORD, Service, Sshd, User, has, must, run, write};
use support::record::{Record, started_by};
use support::{LIMIT, Sandbox, wait_for};

const NOBODY: &str = "nosuchuser";
/// A job starts at the next full minute.
const CRON_LIMIT: Duration = Duration::from_secs(70);

/// cron with one job of our user, in a mount namespace where it finds no other, and no pid file in its way.
fn cron(directory: &Path, user: &User) -> Service {
    let spool = directory.join("crontabs");
    std::fs::create_dir(&spool).expect("spool");
    std::fs::set_permissions(&spool, std::os::unix::fs::PermissionsExt::from_mode(0o1730)).expect("mode");
    let tab = spool.join(&user.name);
    write(&tab, "* * * * * touch ran\n", 0o600);
    must("chown", &[&format!("{}:crontab", user.name), tab.to_str().expect("UTF-8")], "");
    let script = "mount -t tmpfs none /run && mount -t tmpfs none /etc/cron.d && \
                  mount --bind /dev/null /etc/crontab && mount --bind \"$1\" /var/spool/cron/crontabs && exec cron -f";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(&spool)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    Service(command.spawn().expect("cron"))
}

/// An expected event: service, kind, user, PAM's result, remote host, how many.
struct Row<'a>(&'a str, &'a str, &'a str, u64, Option<&'a str>, usize);

impl Row<'_> {
    fn matches(&self, event: &Record) -> bool {
        let Self(service, kind, user, pam_result, rhost, _) = *self;
        event.text("service") == Some(service)
            && event.kind() == kind
            && event.text("user") == Some(user)
            && event.number("pam_result") == Some(pam_result)
            && event.text("rhost") == rhost
            && event.result() == if pam_result == 0 { "ok" } else { "EACCES" }
    }

    fn count(&self, events: &[Record]) -> usize {
        events.iter().filter(|event| self.matches(event)).count()
    }
}

/// By password, by a wrong one, by a user who is not there, by key.
///
/// Debian's stack ends every failure in `pam_deny`, so an unknown user is 7 here, not 10.
fn log_in_by_ssh<'a>(sshd: &Sshd, user: &'a User) -> Vec<Row<'a>> {
    let name = user.name.as_str();
    for password in [Some(PASSWORD), None] {
        let said = sshd.log_in(name, password);
        assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), user.uid.to_string(), "{said:?}");
    }
    assert!(!sshd.log_in(name, Some("wrong")).status.success());
    assert!(!sshd.log_in(NOBODY, Some(PASSWORD)).status.success());
    let local = Some("127.0.0.1");
    vec![
        Row("sshd", "auth_ok", name, 0, local, 1),
        Row("sshd", "auth_failed", name, 7, local, 1),
        Row("sshd", "auth_failed", NOBODY, 7, local, 1),
        Row("sshd", "login", name, 0, local, 2),
        Row("sshd", "logout", name, 0, local, 2),
    ]
}

/// As root, then as the user with a wrong and with the right password.
fn change_user(user: &User) -> Vec<Row<'_>> {
    let name = user.name.as_str();
    must("su", &[name, "-c", "true"], "");
    assert!(!user.run(&["su", name, "-c", "true"], "wrong\n").status.success());
    assert!(user.run(&["su", name, "-c", "true"], &format!("{PASSWORD}\n")).status.success());
    vec![
        Row("su", "auth_ok", name, 0, None, 2),
        Row("su", "auth_failed", name, 7, None, 1),
        Row("su", "login", name, 0, None, 2),
        Row("su", "logout", name, 0, None, 2),
    ]
}

fn become_root(user: &User) -> Vec<Row<'_>> {
    let said = user.run(&["sudo", "-k", "-S", "id", "-u"], &format!("{PASSWORD}\n"));
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "0", "{said:?}");
    assert!(!user.run(&["sudo", "-k", "-S", "true"], "wrong\n").status.success());
    let name = user.name.as_str();
    vec![
        Row("sudo", "auth_ok", name, 0, None, 1),
        Row("sudo", "auth_failed", name, 7, None, 1),
        Row("sudo", "login", "root", 0, None, 1),
        Row("sudo", "logout", "root", 0, None, 1),
    ]
}

fn log_in_at_a_terminal(user: &User) -> Vec<Row<'_>> {
    let name = user.name.as_str();
    must("script", &["-qec", &format!("login -f {name}"), "/dev/null"], "exit\n");
    vec![Row("login", "login", name, 0, None, 1), Row("login", "logout", name, 0, None, 1)]
}

/// A login from afar, and PAM's own results for a user who is not there and an account that expired.
fn ask_pam(user: &User) -> Vec<Row<'_>> {
    let name = user.name.as_str();
    let items = ["-I", "rhost=192.0.2.7", "-I", "tty=/dev/tty9", "su", name];
    let calls = ["authenticate", "open_session", "close_session"];
    must("pamtester", &[&items[..], &calls].concat(), &format!("{PASSWORD}\n"));
    let said = run("pamtester", &[name, NOBODY, "authenticate"], &format!("{PASSWORD}\n"));
    assert!(!said.status.success(), "{said:?}");
    must("usermod", &["--expiredate", "1", name], "");
    let said = run("pamtester", &[name, name, "acct_mgmt"], "");
    must("usermod", &["--expiredate", "", name], "");
    assert!(!said.status.success(), "{said:?}");
    let remote = Some("192.0.2.7");
    vec![
        Row("su", "auth_ok", name, 0, remote, 1),
        Row("su", "login", name, 0, remote, 1),
        Row("su", "logout", name, 0, remote, 1),
        Row(name, "auth_failed", NOBODY, 10, None, 1),
        Row(name, "auth_failed", name, 13, None, 1),
    ]
}

#[test]
#[ignore = "root: cargo xtask test"]
fn every_login_and_every_failure_is_told_with_user_service_and_host() {
    let sandbox = Sandbox::new();
    let user = User::new(&sandbox.path().join("user"));
    let daemon = sandbox.record();
    let mut rows = Vec::new();
    let cron = has("cron", &["cron", "unshare"]).then(|| cron(sandbox.path(), &user));
    let sshd = has("ssh", &["sshd", "ssh", "sshpass"]).then(|| Sshd::new(sandbox.path()));
    rows.extend(sshd.iter().flat_map(|sshd| log_in_by_ssh(sshd, &user)));
    rows.extend(has("su", &["su", "setpriv"]).then(|| change_user(&user)).into_iter().flatten());
    rows.extend(has("sudo", &["sudo", "setpriv"]).then(|| become_root(&user)).into_iter().flatten());
    rows.extend(
        has("login", &["login", "script"]).then(|| log_in_at_a_terminal(&user)).into_iter().flatten(),
    );
    rows.extend(has("PAM's results", &["pamtester"]).then(|| ask_pam(&user)).into_iter().flatten());
    if cron.is_some() {
        let ran = sandbox.path().join("user/ran");
        wait_for("cron's job", CRON_LIMIT, || ran.exists().then_some(()));
        let name = user.name.as_str();
        rows.extend([Row("cron", "login", name, 0, None, 1), Row("cron", "logout", name, 0, None, 1)]);
    }
    // A session may be closed after its client or its job is gone.
    let logouts: Vec<&Row<'_>> = rows.iter().filter(|row| row.1 == "logout").collect();
    wait_for("the logouts", LIMIT, || {
        let events = sandbox.events();
        logouts.iter().all(|row| row.count(&events) >= row.5).then_some(())
    });
    drop((cron, sshd));
    let (status, said) = daemon.stop();
    assert!(status.success(), "{said}");
    let events = sandbox.events();
    sandbox.assert_nothing_lost(&events);
    // Others may log in to this machine meanwhile.
    let events = started_by(&events, std::process::id().into());
    assert_rows(&events, &rows);
    assert_kept_identity(&events, &rows, user.uid);
    sandbox.assert_intact();
}

/// Every row as often as it says, and no other login event.
fn assert_rows(events: &[Record], rows: &[Row<'_>]) {
    let kinds = ["login", "logout", "auth_ok", "auth_failed"];
    let logins: Vec<Record> = events.iter().filter(|event| kinds.contains(&event.kind())).cloned().collect();
    let shown = |event: &Record, key: &str| match event.value.get(key) {
        None | Some(serde_json::Value::Null) => "-".to_owned(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    let keys = ["service", "kind", "result", "pam_result", "user", "rhost", "tty", "loginuid", "session"];
    eprintln!("{}", keys.map(|key| format!("{key:<12}")).concat());
    for event in &logins {
        eprintln!("{}", keys.map(|key| format!("{:<12}", shown(event, key))).concat());
    }
    let mut wrong = Vec::new();
    for row in rows {
        let Row(service, kind, user, pam_result, rhost, count) = row;
        let found = row.count(&logins);
        if found != *count {
            let rhost = rhost.unwrap_or("-");
            wrong.push(format!("{service} {kind} {user} {pam_result} {rhost}: {found}, not {count}"));
        }
    }
    let unexpected = logins.iter().filter(|event| !rows.iter().any(|row| row.matches(event)));
    wrong.extend(unexpected.map(|event| format!("not expected: {}", event.value)));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What runs after a login carries the login's user and session, and so do the login and the logout themselves.
fn assert_kept_identity(events: &[Record], rows: &[Row<'_>], uid: u32) {
    let is_tested = |service: &str| rows.iter().any(|row| row.0 == service);
    let at_terminal = |event: &Record| event.text("tty").is_some_and(|tty| tty.contains("pts"));
    if is_tested("login") {
        let opened = events.iter().any(|event| event.kind() == "login" && at_terminal(event));
        assert!(opened, "login(1) names its terminal");
    }
    let has_loginuid = run("sh", &["-c", "echo 0 > /proc/self/loginuid"], "").status.success();
    if !has_loginuid {
        eprintln!("SKIPPED: loginuid and session are NOT TESTED: pam_loginuid can't write them here");
        return;
    }
    let commands = [("sshd", vec!["id", "-ru"]), ("login", vec!["-sh"]), ("cron", vec!["touch", "ran"])];
    for (service, argv) in commands.into_iter().filter(|(service, _)| is_tested(service)) {
        let sessions = |is_meant: &dyn Fn(&Record) -> bool| {
            let meant: Vec<&Record> = events.iter().filter(|event| is_meant(event)).collect();
            for event in &meant {
                assert_eq!(event.number("loginuid"), Some(uid.into()), "{service}: {}", event.value);
            }
            let mut sessions: Vec<_> = meant.iter().map(|event| event.number("session")).collect();
            sessions.sort_unstable();
            sessions
        };
        let of = |kind: &str, event: &Record| event.kind() == kind && event.text("service") == Some(service);
        let opened = sessions(&|event| of("login", event));
        let ran = sessions(&|event| {
            event.kind() == "exec"
                && event.value["argv"] == serde_json::json!(argv)
                && event.number("uid") == Some(uid.into())
        });
        eprintln!("{service}: {argv:?} ran with loginuid {uid} in the sessions {ran:?}");
        assert!(!opened.is_empty() && opened.iter().all(Option::is_some), "{service}: {opened:?}");
        assert!(
            opened.windows(2).all(|pair| pair[0] != pair[1]),
            "{service}: one session a login: {opened:?}"
        );
        assert_eq!(opened, ran, "{service}: the sessions of its logins and of what they ran");
        assert_eq!(opened, sessions(&|event| of("logout", event)), "{service}: login and logout");
    }
}
