//! The processes behind an event, up to the login and where that came from. Each is looked up by its number in the
//! index and recognised by its key.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::any_of::{AnyOf, Term};
use crate::cli::query::durable_frames;
use crate::cli::scan::Scan;
use crate::cli::session::{command_line, of_program};
use crate::event::Kind;
use crate::event::record::{Record, Text};
use crate::event::text::printable;
use crate::session::key::ProcessKey;
use crate::session::process::{Program, Tree, key_of};

/// Most generations shown.
const DEPTH: usize = 64;

/// A process of a chain.
#[derive(Clone, Debug)]
struct Link {
    key: ProcessKey,
    program: Option<Program>,
    exe: Option<String>,
}

/// Where a session came from.
#[derive(Clone, Debug, Default)]
struct Origin {
    session: Option<u32>,
    leader: Option<ProcessKey>,
    /// What PAM said: user, service, remote host.
    pam: Option<[Option<String>; 3]>,
}

/// A session: its origin and its processes.
#[derive(Debug, Default)]
struct Login {
    origin: Origin,
    tree: Tree,
}

/// Processes from who did it up to the login, or to the first of the record.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    links: Vec<Link>,
    origin: Origin,
}

/// Looks up chains; what was found once is remembered.
#[derive(Debug)]
pub struct Chains {
    store: PathBuf,
    sessions: HashMap<(u32, u32), Rc<Login>>,
    trees: HashMap<ProcessKey, Rc<Tree>>,
    end: u64,
    problems: u64,
}

impl Chains {
    /// For events of this store.
    #[must_use]
    pub fn new(store: &Path) -> Self {
        let end = durable_frames(store);
        Self { store: store.to_owned(), sessions: HashMap::new(), trees: HashMap::new(), end, problems: 0 }
    }

    /// How often something could not be read.
    #[must_use]
    pub const fn problems(&self) -> u64 {
        self.problems
    }

    /// The chain behind an event.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn of(&mut self, record: &Record<'_>) -> Result<Chain> {
        let Some(first) = key_of(&record.key) else { return Ok(Chain::default()) };
        let login = match record.session {
            Some(id) => self.login(first.boot, id)?,
            None => Rc::default(),
        };
        let mut links = Vec::new();
        let mut next = Some((first, record.wall_ns().unwrap_or(i64::MAX)));
        while let Some((key, t)) = next.filter(|_| links.len() < DEPTH) {
            let alone = if login.tree.get(&key).is_some() { None } else { Some(self.tree(key)?) };
            let process = alone.as_deref().unwrap_or(&login.tree).get(&key);
            let programs = process.map(|process| process.programs.as_slice()).unwrap_or_default();
            let program = programs.iter().rev().find(|program| program.t <= t).cloned();
            let exe = process.and_then(|process| process.exe.clone());
            let above = process.and_then(|process| process.parent);
            let born = process.map_or(t, |process| process.born.unwrap_or(process.first));
            links.push(Link { key, program, exe });
            let is_login = login.origin.leader == Some(key);
            next =
                above.filter(|above| !is_login && above.pid > 1 && *above != key).map(|above| (above, born));
        }
        Ok(Chain { links, origin: login.origin.clone() })
    }

    /// What the events of a process itself say of it.
    fn tree(&mut self, key: ProcessKey) -> Result<Rc<Tree>> {
        if let Some(tree) = self.trees.get(&key) {
            return Ok(Rc::clone(tree));
        }
        let search = AnyOf::new(vec![Term::Pid(key.pid)]);
        let mut scan = Scan::open(&self.store, &search, self.end)?;
        let mut tree = Tree::default();
        scan.forward(&mut |line| {
            let record = Record::parse(line)?;
            if key_of(&record.key) == Some(key) && record.kind != Some(Kind::Fork) {
                tree.add(&record);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        self.problems += scan.problems();
        let tree = Rc::new(tree);
        self.trees.insert(key, Rc::clone(&tree));
        Ok(tree)
    }

    /// A session as a whole: only its forks tell who made a process whose parent is gone.
    fn login(&mut self, boot: u32, id: u32) -> Result<Rc<Login>> {
        if let Some(login) = self.sessions.get(&(boot, id)) {
            return Ok(Rc::clone(login));
        }
        let search = AnyOf::new(vec![Term::Session(Some(id))]);
        let mut scan = Scan::open(&self.store, &search, self.end)?;
        let mut login =
            Login { origin: Origin { session: Some(id), ..Origin::default() }, ..Login::default() };
        scan.forward(&mut |line| {
            let record = Record::parse(line)?;
            if let Some(key) = key_of(&record.key).filter(|key| key.boot == boot) {
                login.tree.add(&record);
                login.origin.learn(&record, key);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        self.problems += scan.problems();
        let login = Rc::new(login);
        self.sessions.insert((boot, id), Rc::clone(&login));
        Ok(login)
    }
}

impl Origin {
    /// The kernel's word for who began the session; PAM's counts when it is about the same process.
    fn learn(&mut self, record: &Record<'_>, key: ProcessKey) {
        let owned = |text: &Option<Text<'_>>| text.as_ref().map(|text| text.as_str().to_owned());
        match record.kind {
            Some(Kind::SessionId) if record.is_ok() && self.leader.is_none() => self.leader = Some(key),
            Some(Kind::Login) if record.is_ok() && self.pam.is_none() && self.leader == Some(key) => {
                self.pam = Some([owned(&record.user), owned(&record.service), owned(&record.rhost)]);
            }
            _ => {}
        }
    }
}

impl Chain {
    /// Each process as text, from who did it upwards.
    pub fn links(&self) -> impl Iterator<Item = String> {
        self.links.iter().map(|link| {
            let what = match (&link.program, &link.exe) {
                (Some(program), _) => command_line(program),
                (None, Some(exe)) => printable(exe).into_owned(),
                (None, None) => "?".to_owned(),
            };
            format!("{}  {what}", link.key.pid)
        })
    }

    /// The login behind it, and where it came from.
    #[must_use]
    pub fn origin(&self) -> String {
        let Some(session) = self.origin.session else { return "no login is behind it".to_owned() };
        let Some([user, service, rhost]) = &self.origin.pam else {
            return format!("in session {session}; PAM says nothing of its login");
        };
        let shown = |text: &Option<String>| printable(text.as_deref().unwrap_or("?")).into_owned();
        let from =
            rhost.as_ref().map_or_else(|| "from this host".to_owned(), |_| format!("from {}", shown(rhost)));
        format!("in session {session}: {} by {}, {from} (PAM)", shown(user), shown(service))
    }

    /// The processes as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let link = |link: &Link| {
            json!({
                "key": link.key.to_string(), "pid": link.key.pid,
                "program": link.program.as_ref().map(of_program), "exe": link.exe,
            })
        };
        self.links.iter().map(link).collect()
    }

    /// The login as JSON.
    #[must_use]
    pub fn origin_json(&self) -> Value {
        let fact = |at: usize| {
            let value = self.origin.pam.as_ref().and_then(|pam| pam.get(at).cloned().flatten());
            value.map(|value| json!({"value": value, "from": "pam"}))
        };
        json!({
            "session": self.origin.session, "leader": self.origin.leader.map(|leader| leader.to_string()),
            "user": fact(0), "service": fact(1), "rhost": fact(2),
        })
    }
}
