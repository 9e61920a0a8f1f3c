//! Answers that channels keep, and requests that wait for the answer to the same request.
//!
//! What is kept is bounded by its size; the answers longest unused go first. It is this server's own: each server of a cluster
//! keeps what it answered. An answer is of one life of its channel and of one deployment: a change of either forgets it.

mod answers;
mod conditional;
mod key;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::header::{AGE, ETAG, VARY};
use http::{HeaderName, HeaderValue, Method};
use tenon_connectors::ResponseCache;
use tokio::sync::watch;
use tokio::time::Instant;

use self::answers::Answers;
pub(super) use self::conditional::Visit;
pub(super) use self::key::{Digest, Key, key_of};
use super::kept::KeptAnswer;
use super::reply::Reply;

static X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// An answer that is kept, or shared with those who asked at the same time.
#[derive(Debug)]
struct Shared {
    answer: KeptAnswer,
    kept_at: Instant,
    /// Until when it is given.
    until: Instant,
    /// The deployment that answered.
    deployment: u64,
}

/// What a call came to: none as long as it runs, then its answer if others may have it.
type Outcome = Option<Option<Arc<Shared>>>;

/// The answers that this server keeps. One per server.
#[derive(Debug)]
pub(crate) struct AnswerCache(Mutex<Answers>);

/// What a request finds.
enum Found<'a> {
    /// An answer.
    Kept(Arc<Shared>),
    /// The same request is under way.
    Running(watch::Receiver<Outcome>),
    /// Nothing: whoever finds that has to run it.
    Nothing(Run<'a>),
}

/// A request that is run because nothing was kept.
struct Run<'a> {
    cache: &'a AnswerCache,
    key: Key,
    /// Where others wait; none if they don't.
    outcome: Option<watch::Sender<Outcome>>,
    /// Whether its answer is to be kept.
    keeps: bool,
}

impl Run<'_> {
    /// Tells those who wait. Whoever comes now starts anew.
    fn end(mut self, shared: Option<Arc<Shared>>) {
        if let Some(outcome) = self.outcome.take() {
            self.cache.lock().running.remove(&self.key);
            outcome.send_replace(Some(shared));
        }
    }
}

impl Drop for Run<'_> {
    /// Its caller went away: one of those who wait finds that there is nothing, and runs it.
    fn drop(&mut self) {
        if self.outcome.is_some() {
            self.cache.lock().running.remove(&self.key);
        }
    }
}

/// Whether a request of this method can be answered from what is kept.
pub(super) fn may_be_kept(policy: &ResponseCache, method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD) || policy.include_body_in_key
}

impl AnswerCache {
    /// An empty one. `bytes_max`: how much memory its answers take at most.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self(Mutex::new(Answers::new(bytes_max as u64)))
    }

    /// Answers a request: from what is kept, with the answer to the same request that is under way, or by running it.
    /// `deployment` is the one that serves now.
    pub(super) async fn serve(
        &self,
        key: Key,
        policy: &ResponseCache,
        visit: &Visit,
        deployment: Option<u64>,
        run: impl AsyncFnOnce() -> Reply,
    ) -> Reply {
        let patience = Instant::now() + policy.coalesce_timeout;
        let mut running = loop {
            match self.look(&key, policy, deployment) {
                Found::Kept(shared) => return given(&shared, policy, visit, "hit"),
                Found::Nothing(running) => break Some(running),
                Found::Running(mut outcome) => {
                    let ended = tokio::time::timeout_at(patience, outcome.wait_for(Option::is_some)).await;
                    match ended.map(|ended| ended.map(|outcome| outcome.clone().flatten())) {
                        Ok(Ok(Some(shared))) => return given(&shared, policy, visit, "coalesced"),
                        // Its answer is for nobody else, or the time is over: everybody has to ask for himself.
                        Ok(Ok(None)) | Err(_) => break None,
                        // Who ran it went away. Somebody else has to.
                        Ok(Err(_)) => {}
                    }
                }
            }
        };
        let reply = run().await;
        let Some(running) = running.take() else {
            return tagged(reply, policy, visit, "miss");
        };
        let Some(answer) = shareable(&reply, policy) else {
            running.end(None);
            return reply;
        };
        let now = Instant::now();
        let shared = Arc::new(Shared {
            answer: with_tag(answer, policy),
            kept_at: now,
            until: now + policy.ttl,
            deployment: deployment.unwrap_or_default(),
        });
        let is_small = shared.answer.body.len() as u64 <= policy.max_body_bytes;
        if running.keeps && is_small && deployment.is_some() {
            self.lock().keep(running.key, Arc::clone(&shared));
        }
        running.end(Some(Arc::clone(&shared)));
        given(&shared, policy, visit, "miss")
    }

    fn look(&self, key: &Key, policy: &ResponseCache, deployment: Option<u64>) -> Found<'_> {
        let now = Instant::now();
        let mut answers = self.lock();
        if let Some(shared) = answers.get(key) {
            if shared.until > now && Some(shared.deployment) == deployment {
                return Found::Kept(shared);
            }
            answers.forget(key);
        }
        if let Some(outcome) = answers.running.get(key) {
            return Found::Running(outcome.clone());
        }
        let keeps = !policy.on_second_request || answers.was_seen(key, now, policy.ttl);
        let outcome = (!policy.coalesce_timeout.is_zero()).then(|| {
            let (sender, receiver) = watch::channel(None);
            answers.running.insert(*key, receiver);
            sender
        });
        drop(answers);
        Found::Nothing(Run {
            cache: self,
            key: *key,
            outcome,
            keeps,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A copy of an answer, if others may have it.
fn shareable(reply: &Reply, policy: &ResponseCache) -> Option<KeptAnswer> {
    KeptAnswer::of(reply).filter(|answer| answer.may_be_shared(&policy.vary_by_headers))
}

/// An answer with a strong tag, the one that its service gave or one made of its bytes; and with what it depends on, for the
/// caches between here and the caller.
fn with_tag(mut answer: KeptAnswer, policy: &ResponseCache) -> KeptAnswer {
    if let Ok(names) = HeaderValue::try_from(policy.vary_by_headers.join(", "))
        && !names.is_empty()
    {
        answer.headers.insert(VARY, names);
    }
    if policy.etag
        && !answer.headers.contains_key(ETAG)
        && let Some(tag) = conditional::tag_of(&answer)
    {
        answer.headers.insert(ETAG, tag);
    }
    answer
}

/// A kept answer for one caller.
fn given(shared: &Shared, policy: &ResponseCache, visit: &Visit, how: &'static str) -> Reply {
    let mut reply = shared.answer.to_reply();
    if how == "hit" {
        let age = shared.kept_at.elapsed().as_secs();
        reply.headers_mut().insert(AGE, HeaderValue::from(age));
    }
    reply
        .headers_mut()
        .insert(X_CACHE.clone(), HeaderValue::from_static(how));
    conditional::answer(reply, policy, visit)
}

/// An answer that is not kept.
fn tagged(reply: Reply, policy: &ResponseCache, visit: &Visit, how: &'static str) -> Reply {
    let Some(answer) = shareable(&reply, policy) else {
        return reply;
    };
    let mut reply = with_tag(answer, policy).to_reply();
    reply
        .headers_mut()
        .insert(X_CACHE.clone(), HeaderValue::from_static(how));
    conditional::answer(reply, policy, visit)
}
