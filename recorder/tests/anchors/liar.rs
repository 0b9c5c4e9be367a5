//! A witness that answers whatever a test wants.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;

use recorder::chain::add_checkpoint::AddCheckpoint;
use recorder::chain::witness_key::WitnessKey;

/// Answers each request with status, type and body; gives its line of a policy. It ends with the test.
pub fn lie(
    name: &str,
    seed: u8,
    answer: impl Fn(&WitnessKey, &AddCheckpoint) -> (u16, &'static str, String) + Send + 'static,
) -> String {
    let key = WitnessKey::from_seed(name, &[seed; 32]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let line = format!("witness {name} {} http://{}", key.public(), listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            while reader.read_line(&mut head).unwrap() > 2 {
                let last = head.lines().last().unwrap().to_lowercase();
                if let Some(value) = last.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let (status, kind, body) = match AddCheckpoint::parse(&body) {
                Ok(request) => answer(&key, &request),
                Err(_) => (404, "text/plain", String::new()),
            };
            let text = format!(
                "HTTP/1.1 {status} So\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _gone = stream.write_all(text.as_bytes());
        }
    });
    line
}
