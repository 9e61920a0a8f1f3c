//! Sends bytes to a load balancer and looks at both sides of it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::targets::Target;

/// How long nothing may come before an exchange counts as over.
const QUIET: Duration = Duration::from_millis(400);
/// How long the first byte of an answer may take.
const FIRST: Duration = Duration::from_secs(15);

/// What came of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The statuses that the client was answered with.
    pub statuses: Vec<u16>,
    /// Whether the connection was closed.
    pub closed: bool,
    /// The first lines of the requests that reached the server.
    pub requests: Vec<String>,
    /// What another reader could have read differently in those.
    pub doubts: Vec<&'static str>,
}

impl Seen {
    /// Whether nothing reached the server.
    pub fn is_refused(&self) -> bool {
        self.requests.is_empty()
    }

    /// What a table says of it.
    pub fn show(&self) -> String {
        let statuses: Vec<String> = self.statuses.iter().map(u16::to_string).collect();
        let mut text = if statuses.is_empty() {
            if self.closed { "closed" } else { "silence" }.to_owned()
        } else {
            statuses.join(" ")
        };
        let answered = self.statuses.iter().filter(|status| **status == 200).count();
        if self.requests.len() != answered {
            text += ", server saw ";
            text += &self.requests.len().to_string();
        }
        if !self.doubts.is_empty() {
            text += ", passes on: ";
            text += &self.doubts.join(", ");
        }
        text
    }
}

/// Sends these bytes on a connection of their own.
///
/// # Panics
///
/// If nobody listens.
pub fn send(target: &Target, bytes: &[u8]) -> Seen {
    target.recorder.take();
    let mut stream = TcpStream::connect(("127.0.0.1", target.port))
        .unwrap_or_else(|error| panic!("{} does not listen: {error}", target.kind.name()));
    // Whoever refuses may answer and close before it has read everything.
    let _ = stream.write_all(bytes);
    let (answers, closed) = read(&mut stream);
    drop(stream);
    // A request that was let through reaches the server before its answer comes, or not at all.
    let recorded = target.recorder.take();
    Seen {
        statuses: statuses(&answers),
        closed,
        requests: recorded.iter().map(super::recorder::Recorded::line).collect(),
        doubts: {
            let mut doubts: Vec<_> = recorded.iter().flat_map(super::recorder::Recorded::doubts).collect();
            doubts.sort_unstable();
            doubts.dedup();
            doubts
        },
    }
}

fn read(stream: &mut TcpStream) -> (Vec<u8>, bool) {
    let started = Instant::now();
    let mut answers = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        let wait = if answers.is_empty() { FIRST } else { QUIET };
        if stream.set_read_timeout(Some(wait)).is_err() || started.elapsed() > FIRST * 2 {
            return (answers, false);
        }
        match stream.read(&mut buffer) {
            Ok(0) => return (answers, true),
            Ok(count) => answers.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return (answers, false);
            }
            Err(_) => return (answers, true),
        }
    }
}

/// The final statuses of answers, in their order; what nginx answers to HTTP/0.9 has none.
fn statuses(answers: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answers);
    let found = text
        .match_indices("HTTP/1.")
        .filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok());
    found.filter(|status| *status >= 200).collect()
}
