//! Rules over the words of a command line: an option and the word behind it, and short options of known programs.

use super::name;
use super::program::{Program, SecretOption};
use super::span::{Rule, Spans};
use super::words::{Word, of_shell};

/// Shell text in shell text is followed this deep.
const DEPTH: u32 = 3;

/// The rules at work on one command line.
#[derive(Debug)]
pub(super) struct Command<'s, 'a> {
    spans: &'s mut Spans,
    /// Arguments that are shell text.
    shell: Vec<usize>,
    /// Program named last.
    program: Option<Program<'a>>,
    /// The word `login` was there.
    is_login: bool,
}

impl<'s, 'a> Command<'s, 'a> {
    /// Looks through the arguments of `file`; gives the indexes of those that are shell text.
    pub(super) fn look(spans: &'s mut Spans, file: &'a [u8], argv: &'a [impl AsRef<[u8]>]) -> Vec<usize> {
        let words = argv.iter().enumerate();
        let words: Vec<_> =
            words.map(|(argument, text)| Word { argument, start: 0, text: text.as_ref() }).collect();
        let mut command = Self { spans, shell: Vec::new(), program: Program::named(file), is_login: false };
        command.words(&words, 0);
        command.shell
    }

    fn words(&mut self, words: &[Word<'a>], depth: u32) {
        for (at, word) in words.iter().enumerate() {
            let (before, behind) = words.split_at_checked(at).unwrap_or((words, &[]));
            let next = behind.get(1).filter(|next| !next.text.is_empty());
            let previous = before.last().map_or(&b""[..], |word| word.text);
            if word.is_text() {
                if depth < DEPTH && self.is_shell(previous) {
                    self.shell.push(word.argument);
                    self.words(&of_shell(word.argument, word.start, word.text), depth + 1);
                } else {
                    self.program_option(word, next, depth > 0);
                }
                continue;
            }
            self.option(word, next, depth > 0);
            self.setting(word, previous, next);
            self.program_option(word, next, depth > 0);
            self.is_login |= word.text == b"login";
            // `--name mysql` names no program, `/srv:/var/lib/mysql` neither.
            let is_value = previous.len() > 2 && previous.starts_with(b"--");
            if !is_value && !word.text.contains(&b':') {
                self.program = Program::named(word.text).or(self.program);
            }
        }
    }

    /// Whether a text behind this word goes to a shell: `sh -c`, `su -lc`, `ssh HOST`.
    fn is_shell(&self, previous: &[u8]) -> bool {
        let letters = |rest: &[u8]| rest.len() <= 4 && rest.iter().all(u8::is_ascii_alphabetic);
        matches!(previous, [b'-', letter @ .., b'c'] if letters(letter))
            || matches!(previous, b"--command" | b"eval")
            || self.program.is_some_and(Program::is_remote_shell)
    }

    /// `--password SECRET`, `-token SECRET`.
    fn option(&mut self, word: &Word<'_>, next: Option<&Word<'_>>, in_shell: bool) {
        let (name, dashes) = match word.text {
            [b'-', b'-', name @ ..] => (name, 2),
            [b'-', name @ ..] => (name, 1),
            _ => return,
        };
        let Some(next) = next else { return };
        let is_option = name.len() > 2 && name.iter().all(|&byte| name::is_letter(byte));
        // `-pass 1` is the first pass, of a video.
        let is_pass = dashes == 1 && name == b"pass";
        let is_database = self.program.is_some_and(Program::is_mysql);
        let is_source =
            [&b"id="[..], b"type=", b"src=", b"source="].iter().any(|word| next.text.starts_with(word));
        if is_option
            && name::is_secret_option(name)
            && !is_pass
            && !is_database
            && !is_source
            && !next.text.starts_with(b"-")
        {
            self.value(next, 0, Rule::Option, in_shell);
        }
    }

    /// `set NAME SECRET`, as configuration tools have it.
    fn setting(&mut self, word: &Word<'_>, previous: &[u8], next: Option<&Word<'_>>) {
        let is_name = word.text.iter().all(|byte| name::is_letter(*byte) || matches!(byte, b'/' | b':'));
        if let (b"set", true, Some(next)) = (previous, is_name, next)
            && name::is_secret(word.text)
        {
            self.value(next, 0, Rule::Option, false);
        }
    }

    /// `mysql -pSECRET`, `curl -u user:SECRET`.
    fn program_option(&mut self, word: &Word<'_>, next: Option<&Word<'_>>, in_shell: bool) {
        let Some(program) = self.program else { return };
        for option in program.options {
            if option.is_of_login && !self.is_login {
                continue;
            }
            let Some(rest) = word.text.strip_prefix(option.option.as_bytes()) else {
                if let (true, Some(next)) = (option.is_bundled_in(word.text), next) {
                    self.option_value(option, next, 0, in_shell);
                }
                continue;
            };
            let is_long = option.option.starts_with("--");
            match (rest, next) {
                ([], Some(next)) if option.is_apart && !next.text.starts_with(b"-") => {
                    self.option_value(option, next, 0, in_shell);
                }
                ([b'=', _, ..], _) if option.is_glued && is_long => {
                    self.option_value(option, word, option.option.len() + 1, in_shell);
                }
                ([_, ..], _) if option.is_glued && !is_long && !is_ports(rest) => {
                    self.option_value(option, word, option.option.len(), in_shell);
                }
                _ => {}
            }
        }
    }

    fn option_value(&mut self, option: &SecretOption, word: &Word<'_>, skipped: usize, in_shell: bool) {
        let value = word.text.get(skipped..).unwrap_or_default();
        let behind = option.behind.map(|byte| value.iter().position(|&found| found == byte));
        match behind {
            Some(None) => {}
            Some(Some(at)) => self.value(word, skipped + at + 1, Rule::Program, in_shell),
            None => self.value(word, skipped, Rule::Program, in_shell),
        }
    }

    fn value(&mut self, word: &Word<'_>, skipped: usize, rule: Rule, in_shell: bool) {
        let value = word.text.get(skipped..).unwrap_or_default();
        if is_worth(value, in_shell) {
            let range = if in_shell {
                word.behind(skipped)
            } else {
                (word.start + skipped, word.start + word.text.len())
            };
            self.spans.add(word.argument, range, rule);
        }
    }
}

impl SecretOption {
    /// `-sSu` is `-s -S -u`: curl's habit.
    fn is_bundled_in(&self, word: &[u8]) -> bool {
        let letter = self.option.as_bytes().last();
        self.behind == Some(b':')
            && self.option.len() == 2
            && matches!(word, [b'-', letters @ ..]
                if letters.iter().all(u8::is_ascii_alphabetic) && letters.last() == letter)
    }
}

/// `8080:80`: a container's ports.
fn is_ports(value: &[u8]) -> bool {
    value.contains(&b':') && value.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'))
}

/// Whether a value can be a secret: words that switch something are none, and in shell text a variable is only its
/// name.
pub(super) fn is_worth(value: &[u8], in_shell: bool) -> bool {
    const SWITCHES: [&str; 12] =
        ["true", "false", "yes", "no", "on", "off", "none", "null", "nil", "0", "1", "prompt"];
    let value = if in_shell { unquoted(value) } else { value };
    let is_switch = SWITCHES.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()));
    let is_variable = in_shell
        && value.strip_prefix(b"$").is_some_and(|name| {
            let name = name.strip_prefix(b"{").and_then(|name| name.strip_suffix(b"}")).unwrap_or(name);
            !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        });
    !value.is_empty() && !is_switch && !is_variable
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [quote @ (b'"' | b'\''), inside @ .., last] if quote == last => inside,
        _ => value,
    }
}
