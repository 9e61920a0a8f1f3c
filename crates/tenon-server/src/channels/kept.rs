//! An answer that can be given again: from the cache, or for an idempotency key.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, HeaderMap, SET_COOKIE, VARY};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::reply::Reply;
use super::reply_body::ReplyBody;

/// An answer as its service gave it, before it was compressed.
#[derive(Debug, Clone)]
pub(super) struct KeptAnswer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// The head of an answer as it is stored.
#[derive(Serialize, Deserialize)]
struct Head {
    status: u16,
    /// Values are Latin-1, as HTTP has them.
    headers: Vec<(String, String)>,
}

impl KeptAnswer {
    /// A copy of an answer; none if it comes piece by piece, or is still to be written.
    pub(super) fn of(reply: &Reply) -> Option<Self> {
        if reply.extensions().get::<tenon_model::Problem>().is_some() {
            return None;
        }
        Some(Self {
            status: reply.status(),
            headers: reply.headers().clone(),
            body: reply.body().whole()?.clone(),
        })
    }

    /// Whether it may be given to others: it went well, is no part of something, does not forbid it, and does not depend on
    /// headers of its request other than those `known` (in lower case) to make a difference.
    pub(super) fn may_be_shared(&self, known: &[String]) -> bool {
        // What the service has not compressed is compressed here, for each caller.
        let is_plain = !self.headers.contains_key(CONTENT_ENCODING);
        let mut depends_on = self.headers.get_all(VARY).iter().flat_map(|value| {
            let names = value.to_str().unwrap_or("*").split(',');
            names.map(|name| name.trim().to_ascii_lowercase())
        });
        let forbids = self.headers.get_all(CACHE_CONTROL).iter().any(|value| {
            let value = value.to_str().unwrap_or_default().to_ascii_lowercase();
            value.contains("no-store") || value.contains("private") || value.contains("no-cache")
        });
        self.status.is_success()
            && self.status != StatusCode::PARTIAL_CONTENT
            && !forbids
            && !self.headers.contains_key(SET_COOKIE)
            && depends_on.all(|name| is_plain && name == "accept-encoding" || name.is_empty() || known.contains(&name))
    }

    pub(super) fn to_reply(&self) -> Reply {
        let mut reply = Response::new(ReplyBody::from(self.body.clone()));
        *reply.status_mut() = self.status;
        *reply.headers_mut() = self.headers.clone();
        reply
    }

    /// About how much memory it takes, in bytes.
    pub(super) fn size(&self) -> u64 {
        let headers = self.headers.iter();
        let headers: usize = headers
            .map(|(name, value)| name.as_str().len() + value.len() + 64)
            .sum();
        (self.body.len() + headers + 256) as u64
    }

    /// As bytes: the head as a line of JSON, and the body.
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        let latin1 = |value: &HeaderValue| value.as_bytes().iter().copied().map(char::from).collect();
        let headers = self.headers.iter();
        let head = Head {
            status: self.status.as_u16(),
            headers: headers
                .map(|(name, value)| (name.as_str().to_owned(), latin1(value)))
                .collect(),
        };
        let mut bytes = serde_json::to_vec(&head).ok()?;
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.body);
        Some(bytes)
    }

    /// From what [`to_bytes`](Self::to_bytes) made.
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
        let mut headers = HeaderMap::new();
        for (name, value) in head.headers {
            let value: Option<Vec<u8>> = value.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
            headers.append(HeaderName::try_from(name).ok()?, HeaderValue::from_bytes(&value?).ok()?);
        }
        Some(Self {
            status: StatusCode::from_u16(head.status).ok()?,
            headers,
            body: Bytes::from(bytes).slice(end + 1..),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_survives_being_stored() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        headers.append("x-a", HeaderValue::from_static("b"));
        let answer = KeptAnswer {
            status: StatusCode::CREATED,
            headers,
            body: Bytes::from_static(b"{}\n{}"),
        };
        let again = KeptAnswer::from_bytes(answer.to_bytes().unwrap()).unwrap();
        assert_eq!(
            (again.status, &again.headers, &again.body),
            (answer.status, &answer.headers, &answer.body)
        );
        assert!(KeptAnswer::from_bytes(b"no head".to_vec()).is_none());
    }
}
