//! `Idempotency-Key`: a request that is repeated under its key gets the first answer again, from whichever server, also after
//! one of them died.
//!
//! The key is claimed in the store before the service runs, and the answer is in the store before the caller has it. While the
//! first one runs, others with the key are told 409; a key that comes with another request, 422 (as the IETF's draft has it).

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue};
use ring::digest::{Context, SHA256};
use tenon_model::Problem;
use tenon_store::{AnswerClaim, Store};

use super::cache::Digest;
use super::format::ReadBody;
use super::kept::{KeptAnswer, hex};
use super::plane::Arrival;
use super::reply::{self, Reply};
use crate::call::CallerIdentity;

static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
static REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// How many characters a key has at most.
const KEY_CHARACTERS_MAX: usize = 255;

/// How much longer than its service may take a request keeps its key, for what is to be done around it.
const CLAIM_MARGIN: Duration = Duration::from_secs(10);

/// The key of a request: none if it has none, or its method makes no difference when it is repeated; or what is wrong with it.
pub(super) fn key_of(arrival: &Arrival) -> Option<Result<String, Problem>> {
    let value = arrival.parts.headers.get(&IDEMPOTENCY_KEY)?;
    if arrival.parts.method.is_safe() {
        return None;
    }
    let text = value.to_str().unwrap_or_default().trim();
    // The draft has the key in quotes; most clients send it without.
    let text = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    let is_key = !text.is_empty() && text.len() <= KEY_CHARACTERS_MAX;
    Some(if is_key {
        Ok(text.to_owned())
    } else {
        Err(Problem::new(
            400,
            "invalid-idempotency-key",
            format!("the header Idempotency-Key must have 1 to {KEY_CHARACTERS_MAX} characters"),
        ))
    })
}

/// A request that may be a repetition.
pub(super) struct Repeat {
    /// The key within its channel and for its caller.
    key: String,
    /// What the request is: another one has another.
    fingerprint: String,
}

impl Repeat {
    pub(super) fn of(key: &str, arrival: &Arrival, caller: Option<&CallerIdentity>, body: &ReadBody) -> Self {
        let mut scope = Digest(Context::new(&SHA256));
        scope.add(arrival.route.key.kind.as_bytes());
        scope.add(arrival.route.channel().as_bytes());
        if let Some(caller) = caller {
            for text in [&caller.kind, &caller.name, &caller.username] {
                scope.add(text.as_bytes());
            }
        }
        scope.add(key.as_bytes());
        let mut request = Digest(Context::new(&SHA256));
        request.add(arrival.parts.method.as_str().as_bytes());
        request.add(arrival.parts.uri.path().as_bytes());
        request.add(arrival.parts.uri.query().unwrap_or_default().as_bytes());
        request.add(body.raw.as_ref().unwrap_or(&body.bytes));
        Self {
            key: hex(&scope.end()),
            fingerprint: hex(&request.end()),
        }
    }
}

/// Runs requests once for each key.
pub(super) struct Claims<'a> {
    /// Where keys and answers are.
    pub(super) store: &'a Store,
    /// How long an answer is kept.
    pub(super) ttl: Duration,
    /// How long the service may take.
    pub(super) patience: Duration,
    /// The largest body of an answer that is kept, in bytes.
    pub(super) answer_bytes_max: usize,
}

impl Claims<'_> {
    /// Answers a request: with the first answer to its key, or by running it. `run` also says whether the service was certainly
    /// not run; then the key is free again.
    pub(super) async fn serve(&self, repeat: Repeat, run: impl AsyncFnOnce() -> (Reply, bool)) -> Reply {
        let claim_ms = millis(self.patience + CLAIM_MARGIN);
        match self
            .store
            .claim_answer(&repeat.key, &repeat.fingerprint, claim_ms)
            .await
        {
            Ok(AnswerClaim::Yours) => {}
            Ok(AnswerClaim::Running) => return running(),
            Ok(AnswerClaim::Answered(bytes)) => return replayed(bytes),
            Ok(AnswerClaim::OtherRequest) => {
                let detail = "this Idempotency-Key came with another request before; a new request needs a new key";
                return reply::problem_reply(Problem::new(422, "idempotency-key-reused", detail));
            }
            Err(error) => {
                tracing::warn!(%error, "an idempotency key can't be looked up");
                return reply::failure(&crate::call::ServiceError::Unavailable(error.to_string()));
            }
        }
        let (reply, was_not_run) = run().await;
        let ended = if was_not_run {
            self.store.forget_answer(&repeat.key, &repeat.fingerprint).await
        } else {
            let bytes = self.kept(&reply);
            let ttl_ms = millis(self.ttl);
            self.store
                .keep_answer(&repeat.key, &repeat.fingerprint, bytes, ttl_ms)
                .await
        };
        if let Err(error) = ended {
            // The claim holds until it ends by itself, so that nothing is run twice meanwhile.
            tracing::warn!(%error, "the answer to an idempotency key can't be kept");
        }
        reply
    }

    /// The answer as it is stored. One that can't be kept leaves a note that the request was carried out.
    fn kept(&self, reply: &Reply) -> Vec<u8> {
        if let Some(problem) = reply.extensions().get::<Problem>() {
            let mut bytes = b"problem\n".to_vec();
            bytes.extend(problem.to_json());
            return bytes;
        }
        let answer = KeptAnswer::of(reply).filter(|answer| answer.body.len() <= self.answer_bytes_max);
        answer.and_then(|answer| answer.to_bytes()).unwrap_or_default()
    }
}

fn running() -> Reply {
    let detail = "the request with this Idempotency-Key is being carried out; ask again for its answer";
    let mut reply = reply::problem_reply(Problem::new(409, "idempotency-key-in-use", detail));
    reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    reply
}

fn replayed(bytes: Vec<u8>) -> Reply {
    let problem = bytes.strip_prefix(b"problem\n");
    let problem = problem.and_then(|json| serde_json::from_slice::<Problem>(json).ok());
    let mut reply = match problem {
        Some(problem) => reply::problem_reply(problem),
        None => match KeptAnswer::from_bytes(bytes) {
            Some(answer) => answer.to_reply(),
            None => reply::problem_reply(Problem::new(
                409,
                "idempotency-answer-not-kept",
                "the request with this Idempotency-Key was carried out, but its answer was too large to be kept",
            )),
        },
    };
    reply
        .headers_mut()
        .insert(REPLAYED.clone(), HeaderValue::from_static("true"));
    reply
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
