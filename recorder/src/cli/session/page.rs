//! A story as one HTML page that needs nothing else: what is known, a timeline with a filter box, the tree. All that
//! comes from the host is escaped; the page has no links, and its policy lets nothing be loaded.

use std::borrow::Cow;
use std::io::Write;

use anyhow::Result;

use super::tale::{Names, head, process_text, said, time};
use crate::session::login::Session;
use crate::session::story::Story;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Writes the page.
///
/// # Errors
/// When the output can't be written.
pub fn write(out: &mut dyn Write, story: &Story, session: &Session) -> Result<()> {
    let names = Names::new(story.users().clone()).labelled(std::slice::from_ref(session));
    let lines = head(session, &names);
    let title = escaped(lines.first().map_or("Session", String::as_str)).into_owned();
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<ul>\n"
    )?;
    for line in lines.iter().skip(1) {
        let class = if line.starts_with("DOUBT") { " class=\"doubt\"" } else { "" };
        writeln!(out, "<li{class}>{}</li>", escaped(line))?;
    }
    writeln!(
        out,
        "</ul>\n<p><label>Filter <input id=\"filter\" type=\"search\" autocomplete=\"off\"></label> <output id=\"count\"></output></p>"
    )?;
    writeln!(out, "<h2>What happened</h2>\n<table>")?;
    for moment in story.moments() {
        let class = if moment.is_ok { "" } else { " class=\"failed\"" };
        let what = said(moment);
        writeln!(
            out,
            "<tr{class}><td>{}</td><td>{}</td><td>{}</td></tr>",
            time(moment.t),
            moment.kind.name(),
            escaped(&what)
        )?;
    }
    writeln!(out, "</table>")?;
    if story.beyond() > 0 {
        writeln!(out, "<p>and {} more</p>", story.beyond())?;
    }
    writeln!(out, "<h2>Processes</h2>\n<ol class=\"tree\">")?;
    for (depth, key) in story.tree().walk(&|_, _| true) {
        if let Some(process) = story.tree().get(&key) {
            let text = process_text(&key, process, &names);
            writeln!(out, "<li style=\"margin-left:{}em\">{}</li>", 2 * depth.min(40), escaped(&text))?;
        }
    }
    writeln!(out, "</ol>\n<script>\n{SCRIPT}</script>\n</body>\n</html>")?;
    Ok(())
}

/// Text that is only text in HTML.
fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_host_is_markup() {
        assert_eq!(escaped("<script>alert(\"1\")&'"), "&lt;script&gt;alert(&quot;1&quot;)&amp;&#39;");
        assert_eq!(escaped("plain"), "plain");
    }
}
