//! As much of HTTP/1.1 as a witness needs: a request line, headers, a body of a stated length. Limits come before memory,
//! and a deadline before patience.

use std::io::{self, Read, Write};
use std::time::Instant;

use crate::chain::add_checkpoint::MAX_REQUEST;

/// Longest request line with its headers.
const MAX_HEAD: usize = 8 << 10;
/// Most headers.
const MAX_HEADERS: usize = 64;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub method: String,
    pub path: String,
    pub body: Vec<u8>,
    /// The client wants to send another one.
    pub keeps: bool,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub status: u16,
    pub kind: &'static str,
    pub body: String,
}

impl Answer {
    /// Plain text; sentences end with a newline.
    pub(super) fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: body.into() }
    }
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum NoRequest {
    /// The client went away, or was too slow.
    Gone,
    /// What it sent is none; to be answered, and then the connection closed.
    Refused(Answer),
}

impl From<io::Error> for NoRequest {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// Reads one request; `rest` has what was read beyond the one before, and then beyond this one.
pub(super) fn read(
    stream: &mut dyn Read,
    rest: &mut Vec<u8>,
    deadline: Instant,
) -> Result<Request, NoRequest> {
    let (head, mut request, length) = loop {
        if let Some(found) = parse(rest)? {
            break found;
        }
        if rest.len() >= MAX_HEAD {
            return Err(refused(431, "the headers are too long"));
        }
        more(stream, rest, deadline)?;
    };
    while rest.len() < head + length {
        more(stream, rest, deadline)?;
    }
    let behind = rest.split_off(head + length);
    request.body = rest.split_off(head);
    *rest = behind;
    Ok(request)
}

/// The head of a request, once it is whole: its length, the request without a body, the length of the body.
fn parse(bytes: &[u8]) -> Result<Option<(usize, Request, usize)>, NoRequest> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let head = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(refused(400, &format!("not HTTP: {error}"))),
    };
    let (mut length, mut keeps) = (None, parsed.version == Some(1));
    for header in parsed.headers.iter() {
        let value = String::from_utf8_lossy(header.value);
        let value = value.trim();
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(refused(411, "the body needs a Content-Length"));
        }
        if header.name.eq_ignore_ascii_case("connection") {
            keeps = keeps && !value.eq_ignore_ascii_case("close");
        }
        if header.name.eq_ignore_ascii_case("content-length") {
            let stated = Some(value).filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()));
            let stated: usize = stated
                .and_then(|value| value.parse().ok())
                .filter(|_| length.is_none())
                .ok_or_else(|| refused(400, "the Content-Length is no number, or is there twice"))?;
            length = Some(stated);
        }
    }
    let length = length.unwrap_or(0);
    if length > MAX_REQUEST {
        return Err(refused(413, "the body is too long"));
    }
    let (method, path) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    let request = Request { method: method.to_owned(), path: path.to_owned(), body: Vec::new(), keeps };
    Ok(Some((head, request, length)))
}

fn more(stream: &mut dyn Read, bytes: &mut Vec<u8>, deadline: Instant) -> Result<(), NoRequest> {
    if Instant::now() >= deadline {
        return Err(NoRequest::Gone);
    }
    let mut buffer = [0; 4096];
    let count = stream.read(&mut buffer)?;
    if count == 0 {
        return Err(NoRequest::Gone);
    }
    bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
    Ok(())
}

fn refused(status: u16, what: &str) -> NoRequest {
    NoRequest::Refused(Answer::text(status, format!("{what}\n")))
}

/// Sends an answer in one write.
pub(super) fn write(stream: &mut dyn Write, answer: &Answer, keeps: bool) -> io::Result<()> {
    let Answer { status, kind, body } = answer;
    let connection = if keeps { "keep-alive" } else { "close" };
    let text = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n{body}",
        reason(*status),
        body.len()
    );
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Answer, MAX_HEAD, NoRequest, Request, read, write};
    use crate::chain::add_checkpoint::MAX_REQUEST;

    fn requests(text: &str) -> Vec<Result<Request, Option<u16>>> {
        let (mut stream, mut rest) = (text.as_bytes(), Vec::new());
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut found = Vec::new();
        loop {
            match read(&mut stream, &mut rest, deadline) {
                Ok(request) => found.push(Ok(request)),
                Err(NoRequest::Gone) => return found,
                Err(NoRequest::Refused(answer)) => {
                    found.push(Err(Some(answer.status)));
                    return found;
                }
            }
        }
    }

    #[test]
    fn requests_behind_one_another_are_told_apart() {
        let post = "POST /add-checkpoint HTTP/1.1\r\nHost: w\r\ncontent-length: 5\r\n\r\nold 0";
        let get = "GET /x HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n";
        let found = requests(&format!("{post}{get}"));
        let [Ok(first), Ok(second)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            (first.method.as_str(), first.body.as_slice(), first.keeps),
            ("POST", &b"old 0"[..], true)
        );
        assert_eq!((second.path.as_str(), second.body.len(), second.keeps), ("/x", 0, false));
        assert!(requests(&post[..post.len() - 1]).is_empty());
    }

    #[test]
    fn what_is_too_much_is_refused_before_it_is_read() {
        let head = |headers: &str| format!("POST /add-checkpoint HTTP/1.1\r\n{headers}\r\n\r\n");
        for (text, status) in [
            (head(&format!("Content-Length: {}", MAX_REQUEST + 1)), 413),
            (head("Content-Length: 99999999999999999999999"), 400),
            (head("Content-Length: -1"), 400),
            (head("Content-Length: 1\r\nContent-Length: 1"), 400),
            (head("Transfer-Encoding: chunked"), 411),
            ("GET /".to_owned() + &"x".repeat(MAX_HEAD), 431),
            ("\u{1}\u{2}\r\n\r\n".to_owned(), 400),
        ] {
            assert_eq!(requests(&text), [Err(Some(status))], "{text:.60}");
        }
    }

    #[test]
    fn a_client_that_is_too_slow_is_left() {
        let mut stream: &[u8] = b"GET / HTTP/1.1\r\n";
        assert!(matches!(read(&mut stream, &mut Vec::new(), Instant::now()), Err(NoRequest::Gone)));
    }

    #[test]
    fn an_answer_is_whole() {
        let mut sent = Vec::new();
        write(&mut sent, &Answer::text(404, "no\n"), false).unwrap();
        let sent = String::from_utf8(sent).unwrap();
        assert!(sent.starts_with("HTTP/1.1 404 Not Found\r\n"), "{sent}");
        assert!(sent.ends_with("Content-Length: 3\r\nConnection: close\r\n\r\nno\n"), "{sent}");
    }
}
