//! `NAME=VALUE` wherever it stands: an argument of its own, an option, a part of a query, a word of a script.

use super::command::is_worth;
use super::name;
use super::span::{Rule, Spans};
use super::words::is_end;

/// Notes the values of secret names in an argument.
pub(super) fn look(spans: &mut Spans, argument: usize, text: &[u8], is_shell: bool) {
    let mut done = 0;
    for at in memchr::memchr_iter(b'=', text) {
        if at < done {
            continue;
        }
        let Some(name) = name_before(text, at) else { continue };
        let Some(value) = value_of(text, at, name, is_shell) else { continue };
        let bytes = text.get(value.0..value.1).unwrap_or_default();
        if is_worth(bytes, is_shell) {
            spans.add(argument, value, Rule::Assignment);
            done = value.1;
        }
    }
}

/// Where the name in front of an equals sign begins, its dashes included; `None` when its value is no secret.
fn name_before(text: &[u8], at: usize) -> Option<usize> {
    let before = text.get(..at)?;
    let before = before.trim_ascii_end();
    let is_apart = before.len() < at;
    // Only a programming language has a space there, and a quote behind.
    if is_apart && !matches!(text.get(at + 1..)?.trim_ascii_start(), [b'"' | b'\'', ..]) {
        return None;
    }
    let count = before.iter().rev().take_while(|byte| name::is_letter(**byte)).count();
    let start = before.len() - count;
    let word = before.get(start..)?;
    let dashes = word.iter().take_while(|&&byte| byte == b'-').count();
    let name = word.get(dashes..)?;
    let is_secret = match dashes {
        0 => name::is_secret(name),
        // `-DNAME=`, `-eNAME=`: the option is one letter.
        1 => name::is_secret_option(name) || name.get(1..).is_some_and(name::is_secret),
        _ => name::is_secret_option(name),
    };
    is_secret.then_some(start)
}

/// The range of the value behind an equals sign; `None` when it is a comparison.
fn value_of(text: &[u8], at: usize, name: usize, is_shell: bool) -> Option<(usize, usize)> {
    let behind = text.get(at + 1..)?;
    let spaces = if text.get(at.checked_sub(1)?) == Some(&b' ') {
        behind.len() - behind.trim_ascii_start().len()
    } else {
        0
    };
    let start = at + 1 + spaces;
    let value = text.get(start..)?;
    let before = name.checked_sub(1).and_then(|before| text.get(before)).copied();
    if !is_shell && matches!(before, None | Some(b'=')) {
        return Some((start, text.len()));
    }
    let until = |skipped: usize, ends: &dyn Fn(u8) -> bool| {
        let inside = value.get(skipped..).unwrap_or_default();
        let length = inside.iter().position(|&byte| ends(byte)).unwrap_or(inside.len());
        Some((start + skipped, start + skipped + length))
    };
    match (value, before) {
        ([b'=' | b'~', ..], _) => None,
        ([quote @ (b'"' | b'\''), ..], _) => until(1, &|byte| byte == *quote),
        ([b'\\', quote @ (b'"' | b'\''), ..], _) => until(2, &|byte| byte == b'\\' || byte == *quote),
        (_, Some(quote @ (b'"' | b'\''))) => until(0, &|byte| byte == quote),
        (_, Some(b'&' | b'?')) => until(0, &|byte| is_stop(byte) || matches!(byte, b'&' | b'#')),
        (_, Some(separator @ (b',' | b';'))) => until(0, &|byte| is_stop(byte) || byte == separator),
        (_, Some(b'(' | b'{' | b'[')) => until(0, &|byte| is_stop(byte) || b")}],".contains(&byte)),
        _ if is_shell => until(0, &|byte| is_stop(byte) || is_end(byte)),
        _ => until(0, &is_stop),
    }
}

/// White space and quotes.
fn is_stop(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'')
}
