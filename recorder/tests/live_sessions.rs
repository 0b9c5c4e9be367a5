//! Real logins as stories: what `recorder session` tells is what the script did, nothing missing, nothing invented.
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

use logins::{PASSWORD, Sshd, User, has, must};
use serde_json::{Value, json};
use support::{LIMIT, Sandbox, wait_for};

/// The stories that a script left, by a word that only its commands have.
struct Stories<'s> {
    sandbox: &'s Sandbox,
    list: Vec<Value>,
}

impl<'s> Stories<'s> {
    fn of(sandbox: &'s Sandbox) -> Self {
        let list = serde_json::from_value(ask(sandbox, "session", &["-o", "json"])).expect("a list");
        Self { sandbox, list }
    }

    /// The one story in which a command line has this word.
    fn with(&self, word: &str) -> Value {
        let story = |session: &Value| {
            let key = session["key"].as_str().expect("key");
            ask(self.sandbox, "session", &[key, "-o", "json"])
        };
        let is_meant =
            |story: &Value| commands(story).iter().any(|line| line.iter().any(|text| text.contains(word)));
        let mut found: Vec<Value> = self.list.iter().map(story).filter(is_meant).collect();
        assert_eq!(found.len(), 1, "one session has {word}: {:#?}", self.list);
        found.remove(0)
    }
}

fn ask(sandbox: &Sandbox, verb: &str, arguments: &[&str]) -> Value {
    let output = sandbox.run(verb, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{verb} {arguments:?}: {}: {said}", output.status);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Command lines of a story in the order of the tree.
fn commands(story: &Value) -> Vec<Vec<String>> {
    let programs = story["processes"].as_array().expect("processes").iter();
    let programs = programs.flat_map(|process| process["programs"].as_array().expect("programs"));
    programs.map(|program| serde_json::from_value(program["argv"].clone()).expect("argv")).collect()
}

/// Command lines without those of the login itself: what PAM modules and the shell's start run differs between systems.
fn own_commands<'c>(all: &'c [Vec<String>], word: &str) -> Vec<&'c [String]> {
    let is_own = |line: &&Vec<String>| line.iter().any(|text| text.contains(word));
    all.iter().filter(is_own).map(Vec::as_slice).collect()
}

/// What was done to paths that have the word, in order: path, other path, deeds.
fn changes(story: &Value, word: &str) -> Vec<(String, Value, Vec<String>)> {
    let moments = story["moments"].as_array().expect("moments").iter();
    let changes = moments.map(|moment| &moment["change"]).filter(|change| !change.is_null());
    changes
        .filter(|change| change["path"].as_str().is_some_and(|path| path.contains(word)))
        .map(|change| {
            let did = serde_json::from_value(change["did"].clone()).expect("deeds");
            (change["path"].as_str().expect("path").to_owned(), change["path_to"].clone(), did)
        })
        .collect()
}

fn ends(sandbox: &Sandbox, count: usize) {
    wait_for("the ends of the sessions", LIMIT, || {
        let output = sandbox.run("session", &["-o", "json"]);
        let list: Vec<Value> = serde_json::from_slice(&output.stdout).ok()?;
        let ended = list
            .iter()
            .filter(|session| session["state"] == "ended" && session["rhost"]["value"] == "127.0.0.1");
        (ended.count() >= count).then_some(())
    });
}

#[test]
#[ignore = "root: cargo xtask test"]
fn the_story_of_each_ssh_login_is_what_its_script_did() {
    if !has("stories of ssh logins", &["sshd", "ssh", "sshpass"]) {
        return;
    }
    let sandbox = Sandbox::new();
    let user = User::new(&sandbox.path().join("user"));
    let sshd = Sshd::new(sandbox.path());
    let daemon = sandbox.record();
    let by_password = sshd.run(
        &user.name,
        Some(PASSWORD),
        "echo one > first-note; mv first-note first-done; rm first-done",
    );
    assert!(by_password.status.success(), "{by_password:?}");
    let by_key = sshd.run(&user.name, None, "cp /etc/hostname second-copy; exit 3");
    assert_eq!(by_key.status.code(), Some(3), "{by_key:?}");
    assert!(!sshd.run(&user.name, Some("wrong"), "true").status.success());
    let source = sandbox.path().join("third-source");
    std::fs::write(&source, "x").expect("source");
    sshd.put(&user.name, &source, "third-sent");
    ends(&sandbox, 3);
    drop(sshd);
    let (status, said) = daemon.stop();
    assert!(status.success(), "{said}");
    sandbox.assert_nothing_lost(&sandbox.events());

    let home = sandbox.path().join("user");
    let at = |name: &str| home.join(name).display().to_string();
    let stories = Stories::of(&sandbox);
    let first = stories.with("first-note");
    let session = &first["session"];
    assert_eq!(session["user"], json!({"value": user.name, "from": "pam"}));
    assert_eq!(session["loginuid"], json!({"value": user.uid, "from": "kernel"}));
    assert_eq!(session["rhost"], json!({"value": "127.0.0.1", "from": "pam"}));
    assert_eq!(session["service"]["value"], "sshd");
    assert_eq!(session["authenticated"], json!({"value": true, "from": "pam"}));
    assert_eq!((&session["doubts"], &session["pam_disagrees"]), (&json!([]), &Value::Null));
    assert_eq!(session["steps"], json!([]), "becoming the user who logs in is no step");
    assert_eq!((&session["start"]["from"], &session["end"]["from"]), (&json!("kernel"), &json!("kernel")));
    let all = commands(&first);
    let lines = own_commands(&all, "first-");
    assert_eq!(lines.len(), 3, "the shell, mv, rm: {all:?}");
    assert_eq!(lines[1], ["mv", "first-note", "first-done"]);
    assert_eq!(lines[2], ["rm", "first-done"]);
    assert_eq!(
        changes(&first, "first-"),
        [
            (at("first-note"), Value::Null, vec!["created".to_owned(), "wrote".to_owned()]),
            (at("first-note"), json!(at("first-done")), vec!["renamed".to_owned()]),
            (at("first-done"), Value::Null, vec!["deleted".to_owned()]),
        ]
    );

    let second = stories.with("second-copy");
    assert_eq!(second["session"]["authenticated"]["value"], false, "sshd checks keys itself");
    assert_eq!(changes(&second, "second-").len(), 1, "{second:#}");
    assert_eq!(own_commands(&commands(&second), "second-").len(), 2, "the shell and cp");
    let third = stories.list.iter().filter(|session| session["rhost"]["value"] == "127.0.0.1");
    assert_eq!(third.count(), 3, "{:#?}", stories.list);
    assert_told_well(&sandbox, &stories, &user);
    sandbox.assert_intact();
}

/// The file that came by sftp is in a story, the failed login in the list, and people can read both.
fn assert_told_well(sandbox: &Sandbox, stories: &Stories<'_>, user: &User) {
    let key = |session: &Value| session["key"].as_str().expect("key").to_owned();
    let told: Vec<Value> =
        stories.list.iter().map(|session| ask(sandbox, "session", &[&key(session), "-o", "json"])).collect();
    let sent: Vec<_> = told.iter().flat_map(|story| changes(story, "third-sent")).collect();
    assert_eq!(sent.len(), 1, "{sent:?}");
    let list = String::from_utf8(sandbox.run("session", &["--user", &user.name]).stdout).expect("UTF-8");
    eprintln!("{list}");
    assert!(list.contains("1 from 127.0.0.1 by sshd"), "{list}");
    for story in &told {
        let text =
            String::from_utf8(sandbox.run("session", &[&key(&story["session"])]).stdout).expect("UTF-8");
        eprintln!("{text}");
        for moment in story["moments"].as_array().expect("moments") {
            let line = moment["text"].as_str().expect("text");
            assert!(text.contains(line), "{line:?} is not in:\n{text}");
        }
        let page = String::from_utf8(sandbox.run("session", &[&key(&story["session"]), "-o", "html"]).stdout);
        assert!(page.expect("UTF-8").ends_with("</html>\n"));
    }
}

#[test]
#[ignore = "root: cargo xtask test"]
fn steps_inside_of_a_login_are_a_chain_and_what_runs_on_is_told() {
    if !has("steps in a login", &["sshd", "ssh", "sudo", "su", "nohup"]) {
        return;
    }
    let sandbox = Sandbox::new();
    let user = User::new(&sandbox.path().join("user"));
    let sshd = Sshd::new(sandbox.path());
    let daemon = sandbox.record();
    let script = format!(
        "printf '{PASSWORD}\\n' | sudo -k -S sh -c 'su {name} -c \"touch deep-note\"; :' 2>/dev/null; \
         nohup sleep 7200 >/dev/null 2>&1 </dev/null & sleep 0; echo $!",
        name = user.name
    );
    let said = sshd.run(&user.name, None, &script);
    let sleeper: u32 =
        String::from_utf8_lossy(&said.stdout).trim().parse().unwrap_or_else(|_| panic!("{said:?}"));
    let closed = wait_for("the logout", LIMIT, || {
        let output = sandbox.run("session", &["-o", "json"]);
        let list: Vec<Value> = serde_json::from_slice(&output.stdout).ok()?;
        list.into_iter().find(|session| session["state"] == "closed_by_pam")
    });
    assert_eq!(closed["running"], 1, "{closed:#}");
    must("kill", &[&sleeper.to_string()], "");
    ends(&sandbox, 1);
    drop(sshd);
    let (status, said) = daemon.stop();
    assert!(status.success(), "{said}");
    let story = Stories::of(&sandbox).with("deep-note");
    let text = sandbox.run("session", &[story["session"]["key"].as_str().expect("key")]).stdout;
    eprintln!("{}", String::from_utf8_lossy(&text));
    let steps = story["session"]["steps"].as_array().expect("steps");
    let shown: Vec<_> = steps
        .iter()
        .map(|step| {
            (&step["within"], &step["service"]["value"], &step["user"]["value"], &step["to_uid"]["value"])
        })
        .collect();
    let (sudo, su, root, zero) = (json!("sudo"), json!("su"), json!("root"), json!(0));
    let (name, uid, outer) = (json!(user.name), json!(user.uid), json!(0));
    assert_eq!(shown, [(&Value::Null, &sudo, &root, &zero), (&outer, &su, &name, &uid)], "{steps:#?}");
    assert!(steps.iter().all(|step| step["closed"].is_string()), "{steps:#?}");
    let deeds = changes(&story, "deep-note");
    assert_eq!(deeds.len(), 1, "{deeds:?}");
    sandbox.assert_intact();
}

#[test]
#[ignore = "root: cargo xtask test"]
fn ways_out_of_a_session_are_told_and_do_not_get_out() {
    if !has("ways out of a session", &["sshd", "ssh", "setsid"]) {
        return;
    }
    let sandbox = Sandbox::new();
    let _user = User::new(&sandbox.path().join("user"));
    let sshd = Sshd::new(sandbox.path());
    let daemon = sandbox.record();
    // As root: only root may rewrite what the kernel says.
    let dir = sandbox.path().join("user").display().to_string();
    let script = format!(
        "cd {dir}; setsid sh -c '(touch out-setsid) & wait'; sh -c '(sh -c \"touch out-double\" &) &'; \
         sh -c 'echo 4294967295 > /proc/self/loginuid && touch out-unset'; \
         sh -c 'echo 54321 > /proc/self/loginuid && touch out-rewritten'; until [ -e out-double ]; do :; done"
    );
    let said = sshd.run("root", None, &script);
    assert!(said.status.success(), "{said:?}");
    ends(&sandbox, 1);
    drop(sshd);
    let (status, said) = daemon.stop();
    assert!(status.success(), "{said}");
    let stories = Stories::of(&sandbox);
    let story = stories.with("out-setsid");
    let text = sandbox.run("session", &[story["session"]["key"].as_str().expect("key")]).stdout;
    eprintln!("{}", String::from_utf8_lossy(&text));
    for name in ["out-setsid", "out-double", "out-unset"] {
        let deeds: Vec<_> =
            changes(&story, name).into_iter().filter(|(_, _, did)| did[0] == "created").collect();
        assert_eq!(deeds.len(), 1, "{name}: {story:#}");
    }
    let doubts = |session: &Value| -> Vec<String> {
        let doubts = session["doubts"].as_array().expect("doubts").iter();
        doubts.map(|doubt| doubt["doubt"].as_str().expect("word").to_owned()).collect()
    };
    assert_eq!(doubts(&story["session"]), ["loginuid_unset", "loginuid_rewritten"]);
    let other =
        stories.list.iter().find(|session| session["loginuid"]["value"] == 54321).expect("the other session");
    assert_eq!(doubts(other), ["begun_within_session"]);
    assert_eq!(other["within"], story["session"]["key"]);
    let rest = ask(&sandbox, "session", &[other["key"].as_str().expect("key"), "-o", "json"]);
    assert_eq!(changes(&rest, "out-rewritten").len(), 1, "{rest:#}");
    sandbox.assert_intact();
}
