//! One request: its bytes, in the pieces in which they are sent, and what the right answer is.

use std::time::Duration;

use flate2::Crc;
use serde_json::Value;

use super::kind::{Body, Kind, Pace};

/// Pieces of a slow head, of a slow body, and of a chunked one.
const HEAD_PIECES: usize = 5;
const BODY_PIECES: usize = 10;
const CHUNK_BYTES: usize = 4_096;

/// What a slow client waits before each piece.
const PAUSE: Duration = Duration::from_millis(100);

/// A request with an id that the service records and sends back.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) kind: Kind,
    id: u64,
    target: String,
    content: Vec<u8>,
}

/// Bytes, and how long the client waits before it sends them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) pause: Duration,
    pub(super) bytes: Vec<u8>,
}

impl Request {
    pub(super) fn new(kind: Kind, id: u64, path: &str) -> Self {
        let shape = kind.shape();
        let length = match shape.body {
            Body::None => 0,
            Body::Length(length) | Body::Chunked(length) => length,
        };
        Self {
            kind,
            id,
            target: format!("{path}?id={id}&think={}&size={}", shape.think, shape.fill),
            content: text_of(id, length),
        }
    }

    /// The request as HTTP/1.1.
    pub(super) fn pieces(&self) -> Vec<Piece> {
        let shape = self.kind.shape();
        let at_once = |bytes| Piece {
            pause: Duration::ZERO,
            bytes,
        };
        let slowly = |bytes: &[u8]| Piece {
            pause: PAUSE,
            bytes: bytes.to_vec(),
        };
        let head = self.head().into_bytes();
        match (shape.pace, shape.body) {
            (Pace::Head, _) => {
                let (first, rest) = head.split_at(head.len().div_ceil(HEAD_PIECES));
                let rest = rest.chunks(first.len()).map(slowly);
                // Whoever waits before the first may find that the kept connection was closed meanwhile.
                std::iter::once(at_once(first.to_vec())).chain(rest).collect()
            }
            (Pace::Body, _) => {
                let parts = self.content.chunks(self.content.len().div_ceil(BODY_PIECES).max(1));
                std::iter::once(at_once(head)).chain(parts.map(slowly)).collect()
            }
            (_, Body::Chunked(_)) => {
                let chunks = self.content.chunks(CHUNK_BYTES).map(chunk);
                let all = std::iter::once(head).chain(chunks).chain([b"0\r\n\r\n".to_vec()]);
                all.map(at_once).collect()
            }
            _ => vec![at_once([head, self.content.clone()].concat())],
        }
    }

    fn head(&self) -> String {
        let shape = self.kind.shape();
        let framing = match shape.body {
            Body::None => String::new(),
            Body::Length(length) => format!("content-type: text/plain\r\ncontent-length: {length}\r\n"),
            Body::Chunked(_) => "content-type: text/plain\r\ntransfer-encoding: chunked\r\n".to_owned(),
        };
        let connection = if shape.keeps { "" } else { "connection: close\r\n" };
        let (method, target) = (self.kind.method(), &self.target);
        format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\n{framing}{connection}\r\n")
    }

    /// Path and query.
    pub(super) fn target(&self) -> &str {
        &self.target
    }

    /// The body.
    pub(super) fn content(&self) -> &[u8] {
        &self.content
    }

    /// What is wrong with the body of an answer.
    pub(super) fn wrong(&self, body: &[u8]) -> Option<String> {
        let Ok(answer) = serde_json::from_slice::<Value>(body) else {
            return Some(format!("{} bytes that are no JSON", body.len()));
        };
        let mut crc = Crc::new();
        crc.update(&self.content);
        let expected = [
            ("bytes", Value::from(self.content.len())),
            ("crc", Value::from(crc.sum())),
        ];
        if answer["id"].as_str() != Some(&self.id.to_string()) {
            return Some(format!("the id {} for {}", answer["id"], self.id));
        }
        let differs = expected.iter().find(|(name, value)| answer[*name] != *value);
        if let Some((name, value)) = differs {
            return Some(format!("{name} {} where {value} were sent", answer[*name]));
        }
        let fill = answer["fill"].as_str().map_or(0, str::len);
        (fill != self.kind.shape().fill).then(|| format!("{fill} bytes of filling"))
    }
}

fn chunk(content: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", content.len()).into_bytes();
    chunk.extend_from_slice(content);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// Text that no other request has.
fn text_of(id: u64, length: usize) -> Vec<u8> {
    let line = format!("{id:020} carries this line\n");
    line.bytes().cycle().take(length).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bytes(request: &Request) -> String {
        let pieces = request.pieces();
        let all: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.bytes).collect();
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn slow_requests_are_the_same_bytes_in_pieces() {
        let slow = Request::new(Kind::SlowHead, 7, "/p");
        assert_eq!(slow.pieces().len(), HEAD_PIECES);
        assert_eq!(bytes(&slow), bytes(&Request::new(Kind::Get, 7, "/p")));
        let body = Request::new(Kind::SlowBody, 7, "/p");
        assert_eq!(body.pieces().len(), 1 + BODY_PIECES);
        assert!(bytes(&body).contains("content-length: 20000\r\n\r\n"));
    }

    #[test]
    fn chunks_say_how_long_they_are() {
        let text = bytes(&Request::new(Kind::PostChunked, 7, "/p"));
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("transfer-encoding: chunked"));
        assert!(body.starts_with("1000\r\n") && body.ends_with("\r\n0\r\n\r\n"));
    }

    #[test]
    fn an_answer_is_right_only_for_its_own_request() {
        let request = Request::new(Kind::Post, 7, "/p");
        let mut crc = Crc::new();
        crc.update(&text_of(7, 60));
        let right = json!({"id": "7", "bytes": 60, "crc": crc.sum(), "fill": ""});
        let wrong = |change: fn(&mut Value)| {
            let mut answer = right.clone();
            change(&mut answer);
            request.wrong(answer.to_string().as_bytes())
        };
        assert_eq!(wrong(|_| {}), None);
        assert!(wrong(|answer| answer["id"] = json!("8")).is_some());
        assert!(wrong(|answer| answer["bytes"] = json!(59)).is_some());
        assert!(wrong(|answer| answer["crc"] = json!(1)).is_some());
        assert!(wrong(|answer| answer["fill"] = json!("x")).is_some());
        assert!(request.wrong(b"oops").is_some());
    }
}
