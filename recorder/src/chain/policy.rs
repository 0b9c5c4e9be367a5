//! Whom to trust (C2SP tlog-policy): logs, witnesses, and how many of the witnesses are enough. A text; no file, no network.

use std::collections::{BTreeSet, HashMap};

use super::checkpoint::WitnessPublic;
use super::key::OriginPublic;

/// Longest policy that is read.
pub const MAX_POLICY: usize = 64 << 10;
/// Most logs, most witnesses, most groups.
const MAX_EACH: usize = 64;
/// The quorum that asks for nobody.
const NONE: &str = "none";

/// Which line of a policy is wrong, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct PolicyError {
    /// From 1; the number of lines where something is missing at the end.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// A witness of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyWitness {
    /// Its name in the policy.
    pub name: String,
    /// Its key.
    pub key: WitnessPublic,
    /// Where it takes checkpoints, without a `/` at the end.
    pub url: Option<String>,
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<OriginPublic>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    quorum: Option<Member>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Member {
    Witness(usize),
    Group(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    needed: usize,
    members: Vec<Member>,
}

/// What the lines so far have defined.
#[derive(Default)]
struct Reading {
    logs: Vec<OriginPublic>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    names: HashMap<String, Member>,
    /// Members of some group already: each may be in one only.
    taken: BTreeSet<Member>,
    quorum: Option<Option<Member>>,
    lines: usize,
}

impl Policy {
    /// Reads a policy. Other bytes than UTF-8 are refused, which the specification only advises against.
    ///
    /// # Errors
    /// When a line is anything else than the specification has, or there is no quorum.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let Reading { logs, witnesses, groups, quorum, lines, .. } = Reading::of(bytes)?;
        let missing = || PolicyError {
            line: lines,
            what: "there is no `quorum` line; `quorum NAME` names the witness or group that is enough"
                .to_owned(),
        };
        Ok(Self { logs, witnesses, groups, quorum: quorum.ok_or_else(missing)? })
    }

    /// Only the keys of the logs of a text that need not have a quorum.
    ///
    /// # Errors
    /// When a line is anything else than the specification has.
    pub fn parse_logs(bytes: &[u8]) -> Result<Vec<OriginPublic>, PolicyError> {
        Ok(Reading::of(bytes)?.logs)
    }

    /// Keys of the logs whose checkpoints count; none when that is known otherwise.
    #[must_use]
    pub fn logs(&self) -> &[OriginPublic] {
        &self.logs
    }

    /// The witnesses, in the order of the text.
    #[must_use]
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// Whether any witness is needed at all.
    #[must_use]
    pub const fn asks_for_witnesses(&self) -> bool {
        self.quorum.is_some()
    }

    /// Whether the witnesses that vouch, told by their place, are enough.
    pub fn is_met(&self, vouches: impl Fn(usize) -> bool) -> bool {
        let mut met: Vec<bool> = Vec::with_capacity(self.groups.len());
        let holds = |member: &Member, met: &[bool]| match member {
            Member::Witness(place) => vouches(*place),
            // A group names only groups in front of it.
            Member::Group(place) => met.get(*place).copied().unwrap_or(false),
        };
        for group in &self.groups {
            let count = group.members.iter().filter(|member| holds(member, &met)).count();
            met.push(count >= group.needed);
        }
        self.quorum.as_ref().is_none_or(|quorum| holds(quorum, &met))
    }
}

impl Reading {
    fn of(bytes: &[u8]) -> Result<Self, PolicyError> {
        let whole = |what: &str| PolicyError { line: 0, what: what.to_owned() };
        if bytes.len() > MAX_POLICY {
            return Err(whole("the file is too long for a policy"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| whole("the file is not UTF-8"))?;
        let mut reading = Self::default();
        for line in text.split('\n') {
            reading.lines += 1;
            let number = reading.lines;
            reading.take(line).map_err(|what| PolicyError { line: number, what })?;
        }
        reading.lines = text.lines().count();
        Ok(reading)
    }

    fn take(&mut self, line: &str) -> Result<(), String> {
        if line.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
            return Err("it has a control character".to_owned());
        }
        let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with('#') => Ok(()),
            ["log", key] | ["log", key, _] => self.log(key),
            ["witness", name, key] => self.witness(name, key, None),
            ["witness", name, key, url] => self.witness(name, key, Some(url)),
            ["group", name, needed, members @ ..] if !members.is_empty() => self.group(name, needed, members),
            ["quorum", name] => self.set_quorum(name),
            [word @ ("log" | "witness" | "group" | "quorum"), ..] => {
                Err(format!("too few or too many words behind `{word}`"))
            }
            [word, ..] => Err(format!("`{word}` is not one of: log, witness, group, quorum")),
        }
    }

    fn log(&mut self, key: &str) -> Result<(), String> {
        let key = OriginPublic::parse(key).map_err(|error| format!("the key of the log: {error}"))?;
        if self.logs.iter().any(|known| known.has_key_of(&key)) {
            return Err("the key of this log is there already".to_owned());
        }
        self.logs.push(key);
        check_count(self.logs.len(), "logs")
    }

    fn witness(&mut self, name: &str, key: &str, url: Option<&str>) -> Result<(), String> {
        let key = WitnessPublic::parse(key).map_err(|error| format!("the key of witness {name}: {error}"))?;
        if self.witnesses.iter().any(|known| known.key.has_key_of(&key)) {
            return Err(format!("the key of witness {name} is there already"));
        }
        let url = url.map(|url| url.trim_end_matches('/').to_owned());
        self.define(name, Member::Witness(self.witnesses.len()))?;
        self.witnesses.push(PolicyWitness { name: name.to_owned(), key, url });
        check_count(self.witnesses.len(), "witnesses")
    }

    fn group(&mut self, name: &str, needed: &str, members: &[&str]) -> Result<(), String> {
        let members = members.iter().map(|name| self.known(name)).collect::<Result<Vec<_>, _>>()?;
        for member in &members {
            if !self.taken.insert(*member) {
                return Err(format!("a member of group {name} is a member of a group already"));
            }
        }
        let needed = match needed {
            "any" => 1,
            "all" => members.len(),
            number => super::checkpoint::decimal(number)
                .and_then(|number| usize::try_from(number).ok())
                .filter(|number| (1..=members.len()).contains(number))
                .ok_or_else(|| {
                    format!("`{number}` is not `any`, `all` or a number from 1 to {}", members.len())
                })?,
        };
        self.define(name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { needed, members });
        check_count(self.groups.len(), "groups")
    }

    fn set_quorum(&mut self, name: &str) -> Result<(), String> {
        if self.quorum.is_some() {
            return Err("a second `quorum` line".to_owned());
        }
        self.quorum = Some(if name == NONE { None } else { Some(self.known(name)?) });
        Ok(())
    }

    fn known(&self, name: &str) -> Result<Member, String> {
        self.names
            .get(name)
            .copied()
            .ok_or_else(|| format!("no line in front of this one defines a witness or group `{name}`"))
    }

    fn define(&mut self, name: &str, member: Member) -> Result<(), String> {
        if name == NONE || self.names.insert(name.to_owned(), member).is_some() {
            return Err(format!("the name `{name}` is taken"));
        }
        Ok(())
    }
}

fn check_count(count: usize, what: &str) -> Result<(), String> {
    if count > MAX_EACH { Err(format!("more than {MAX_EACH} {what}")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::{MAX_POLICY, Policy};
    use crate::chain::key::OriginKey;
    use crate::chain::witness_key::WitnessKey;

    fn witness(number: u8) -> String {
        WitnessKey::from_seed(&format!("example/w{number}"), &[number; 32]).unwrap().public().to_string()
    }

    fn log() -> String {
        OriginKey::from_seed("host/recorder", &[1; 32]).unwrap().public().to_string()
    }

    /// The shape of the example of the specification.
    fn example() -> String {
        let mut text = format!("# whom we trust\nlog {}\n\n", log());
        for number in 1..=6 {
            text.push_str(&format!("\twitness w{number} {} https://w{number}.example/\n", witness(number)));
        }
        text + "group x 2 w1 w2 w3\ngroup y any w4 w5 w6\ngroup both all x y\nquorum both\n"
    }

    fn met(policy: &Policy, vouching: &[usize]) -> bool {
        policy.is_met(|place| vouching.contains(&place))
    }

    #[test]
    fn a_quorum_is_met_as_the_groups_say() {
        let policy = Policy::parse(example().as_bytes()).unwrap();
        assert_eq!((policy.logs().len(), policy.witnesses().len()), (1, 6));
        assert_eq!(policy.witnesses()[1].url.as_deref(), Some("https://w2.example"));
        assert!(met(&policy, &[0, 2, 5]) && met(&policy, &[0, 1, 2, 3]));
        for few in [&[][..], &[0, 1, 2], &[0, 3, 4, 5], &[3]] {
            assert!(!met(&policy, few), "{few:?}");
        }
        let one = Policy::parse(format!("witness a {}\nquorum a", witness(1)).as_bytes()).unwrap();
        assert!(met(&one, &[0]) && !met(&one, &[]));
        let none = Policy::parse(b"quorum none\n").unwrap();
        assert!(met(&none, &[]) && !none.asks_for_witnesses());
    }

    #[test]
    fn a_wrong_line_is_named() {
        let good = example();
        let again = format!("group x 2 w1 w2 w3\nwitness w9 {}", witness(2));
        for (bad, line, part) in [
            (good.replace("quorum both\n", ""), 12, "no `quorum` line"),
            (good.replace("quorum both", "quorum both\nquorum x"), 14, "second `quorum`"),
            (good.replace("quorum both", "quorum all"), 13, "`all`"),
            (good.replace("group x 2", "group x 4"), 10, "`4` is not"),
            (good.replace("group x 2", "group x 0"), 10, "`0` is not"),
            (good.replace("group x 2", "group x 02"), 10, "`02` is not"),
            (good.replace("w1 w2 w3", "w1 w2 w2"), 10, "already"),
            (good.replace("w4 w5 w6", "w4 w5 w1"), 11, "already"),
            (good.replace("all x y", "all x z"), 12, "`z`"),
            (good.replace("all x y", "all both y"), 12, "`both`"),
            (good.replace("witness w2", "witness w1"), 5, "taken"),
            (good.replace("witness w2", "witness none"), 5, "taken"),
            (good.replace("group x 2 w1 w2 w3", &again), 11, "there already"),
            (good.replace(&witness(3), &log()), 6, "not an Ed25519 key"),
            (good.replace("group y any", "grop y any"), 11, "`grop` is not one of"),
            (good.replace("quorum both", "quorum both x"), 13, "too few or too many"),
            (good.replace("# whom", "# \u{1b}whom"), 1, "control character"),
            (good.replace('\n', "\r\n"), 1, "control character"),
        ] {
            let error = Policy::parse(bad.as_bytes()).unwrap_err();
            assert_eq!(error.line, line, "{error}: {bad}");
            assert!(error.what.contains(part), "{error}");
        }
        assert!(Policy::parse(&vec![b'#'; MAX_POLICY + 1]).is_err());
        assert!(Policy::parse(b"\xff").is_err());
    }
}
