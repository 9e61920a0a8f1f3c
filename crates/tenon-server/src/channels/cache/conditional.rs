//! Tags of answers, and callers who have one already.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use ring::digest::{SHA256, digest};
use tenon_connectors::ResponseCache;

use crate::channels::kept::{KeptAnswer, hex};
use crate::channels::reply::Reply;
use crate::channels::reply_body::ReplyBody;

/// What a caller says of the answer that it has.
#[derive(Debug)]
pub(in crate::channels) struct Visit {
    /// Tags; none if the method makes no use of them.
    known: Vec<String>,
}

impl Visit {
    pub(in crate::channels) fn of(parts: &Parts) -> Self {
        let may_know = matches!(parts.method, Method::GET | Method::HEAD);
        Self {
            known: if may_know { tags_in(&parts.headers) } else { Vec::new() },
        }
    }
}

/// The tags of `If-None-Match`, without what weak ones have in front.
fn tags_in(headers: &HeaderMap) -> Vec<String> {
    let values = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let tags = values.flat_map(|value| value.split(','));
    tags.map(|tag| tag.trim().trim_start_matches("W/").to_owned()).collect()
}

/// A strong tag: of other bytes or another type it is another one.
pub(super) fn tag_of(answer: &KeptAnswer) -> Option<HeaderValue> {
    let mut bytes = answer
        .headers
        .get(CONTENT_TYPE)
        .map_or(Vec::new(), |value| value.as_bytes().to_vec());
    bytes.push(0);
    bytes.extend_from_slice(&answer.body);
    let digest = digest(&SHA256, &bytes);
    HeaderValue::try_from(format!("\"{}\"", hex(&digest.as_ref()[..16]))).ok()
}

/// The answer, or only that it is the one that the caller has.
pub(super) fn answer(mut reply: Reply, policy: &ResponseCache, visit: &Visit) -> Reply {
    if !policy.etag || reply.status() != StatusCode::OK || visit.known.is_empty() {
        return reply;
    }
    let Some(tag) = reply.headers().get(ETAG).and_then(|tag| tag.to_str().ok()) else {
        return reply;
    };
    let tag = tag.trim_start_matches("W/");
    let is_known = |known: &String| {
        let inner = tag.trim_end_matches('"');
        known == "*"
            || known == tag
            || ["-gzip\"", "-br\""]
                .iter()
                .any(|end| known.strip_suffix(end) == Some(inner))
    };
    if visit.known.iter().any(is_known) {
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
        *reply.body_mut() = ReplyBody::from("");
        reply.headers_mut().remove(CONTENT_TYPE);
        reply.headers_mut().remove(CONTENT_LENGTH);
    }
    reply
}
