//! The keys of an issuer, fetched from its address and kept fresh in the background.
//!
//! A request waits for the issuer only if its token names a key that is not known, and then at most once per `jwks_retry`,
//! however many requests there are. While the issuer can't be reached, known keys go on being used.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tenon_connectors::WebDocument;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::config::JwtConfig;
use super::keys::{Algorithm, NamedKey, PublicKey, read_key_set};
use super::verifier::Denied;

/// How long an issuer may take to answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The key sets of all definitions. Those that stay the same are taken over from one snapshot to the next, with their keys.
#[derive(Debug, Default)]
pub(in crate::security) struct KeySets {
    sets: BTreeMap<Address, Arc<KeySet>>,
    before: BTreeMap<Address, Arc<KeySet>>,
    ca_file: PathBuf,
}

/// What makes a key set another one.
type Address = (String, PathBuf, [Duration; 3]);

impl KeySets {
    /// No key sets yet, but those of before are at hand. `ca_file` has the certificate authorities that are trusted where a
    /// definition names none.
    pub(in crate::security) fn following(before: Option<&Self>, ca_file: PathBuf) -> Self {
        Self {
            sets: BTreeMap::new(),
            before: before.map(|before| before.sets.clone()).unwrap_or_default(),
            ca_file,
        }
    }

    /// All are asked for; those of before that were not are let go.
    pub(in crate::security) fn complete(mut self) -> Self {
        self.before.clear();
        self
    }

    /// The key set of a definition. Must be called within a tokio runtime. The error is a sentence.
    pub(super) fn get(&mut self, url: &str, config: &JwtConfig) -> Result<Arc<KeySet>, String> {
        let ca_file = config.jwks_ca_file.clone().unwrap_or_else(|| self.ca_file.clone());
        let times = [config.jwks_refresh.0, config.jwks_retry.0, config.jwks_stale_max.0];
        let address = (url.to_owned(), ca_file, times);
        if let Some(known) = self.sets.get(&address).or_else(|| self.before.get(&address)) {
            let known = Arc::clone(known);
            self.sets.insert(address, Arc::clone(&known));
            return Ok(known);
        }
        let document = WebDocument::new(url, &address.1)?;
        let set = Arc::new(KeySet::start(url, document, times));
        self.sets.insert(address, Arc::clone(&set));
        Ok(set)
    }
}

/// The keys at one address. The task that keeps them fresh ends when the set is dropped.
#[derive(Debug)]
pub(super) struct KeySet {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Shared {
    url: String,
    refresh: Duration,
    retry: Duration,
    stale_max: Duration,
    known: ArcSwap<Known>,
    attempt: Mutex<Attempt>,
    /// Counts the attempts that have ended.
    attempts: watch::Sender<u64>,
    wanted: Notify,
}

#[derive(Debug, Default)]
struct Known {
    keys: Vec<NamedKey>,
    fetched_at: Option<Instant>,
}

#[derive(Debug)]
struct Attempt {
    is_running: bool,
    ended_at: Option<Instant>,
}

impl KeySet {
    fn start(url: &str, document: WebDocument, [refresh, retry, stale_max]: [Duration; 3]) -> Self {
        let shared = Arc::new(Shared {
            url: url.to_owned(),
            refresh,
            retry,
            stale_max,
            known: ArcSwap::default(),
            attempt: Mutex::new(Attempt {
                is_running: true,
                ended_at: None,
            }),
            attempts: watch::Sender::new(0),
            wanted: Notify::new(),
        });
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(keep_fresh(Arc::clone(&shared), document, stop.clone()));
        Self {
            shared,
            _stop: stop.drop_guard(),
        }
    }

    /// The keys of this id that are for this algorithm; without an id, all that are for it.
    pub(super) async fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<Arc<PublicKey>>, Denied> {
        let found = self.shared.look(id, algorithm);
        if matches!(&found, Ok(keys) if !keys.is_empty()) {
            return found;
        }
        self.shared.refreshed().await;
        match self.shared.look(id, algorithm) {
            Ok(keys) if keys.is_empty() => Err(Denied::Invalid("the token's key is not known")),
            found => found,
        }
    }
}

impl Shared {
    fn look(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<Arc<PublicKey>>, Denied> {
        let known = self.known.load();
        let is_fresh = known
            .fetched_at
            .is_some_and(|at| at.elapsed() <= self.refresh + self.stale_max);
        if !is_fresh {
            return Err(Denied::NoKeys);
        }
        let fits = |named: &NamedKey| {
            id.is_none_or(|id| named.id.as_deref() == Some(id))
                && named.algorithm.is_none_or(|only| only == algorithm)
                && named.key.fits(algorithm)
        };
        let keys = known.keys.iter().filter(|named| fits(named));
        Ok(keys.map(|named| Arc::clone(&named.key)).collect())
    }

    /// Waits for the attempt that runs, or for a new one if it is time for one.
    async fn refreshed(&self) {
        let mut attempts = self.attempts.subscribe();
        {
            let mut attempt = self.attempt();
            if !attempt.is_running {
                if attempt.ended_at.is_some_and(|at| at.elapsed() < self.retry) {
                    return;
                }
                attempt.is_running = true;
                self.wanted.notify_one();
            }
        }
        // In vain if the set is being dropped.
        let _ = tokio::time::timeout(FETCH_TIMEOUT, attempts.changed()).await;
    }

    fn attempt(&self) -> MutexGuard<'_, Attempt> {
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches the keys once; says whether it worked.
    async fn fetch(&self, document: &WebDocument) -> bool {
        let answer = document.fetch(Instant::now() + FETCH_TIMEOUT).await;
        let is_fetched = match answer.and_then(|bytes| read_key_set(&bytes)) {
            Ok(keys) => {
                self.known.store(Arc::new(Known {
                    keys,
                    fetched_at: Some(Instant::now()),
                }));
                true
            }
            Err(reason) => {
                tracing::warn!(url = %self.url, "the keys at {} can't be had: {reason}", self.url);
                false
            }
        };
        *self.attempt() = Attempt {
            is_running: false,
            ended_at: Some(Instant::now()),
        };
        self.attempts.send_modify(|count| *count += 1);
        is_fetched
    }
}

async fn keep_fresh(shared: Arc<Shared>, document: WebDocument, stop: CancellationToken) {
    while let Some(is_fetched) = stop.run_until_cancelled(shared.fetch(&document)).await {
        let pause = if is_fetched { shared.refresh } else { shared.retry };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            () = shared.wanted.notified() => {}
        }
        shared.attempt().is_running = true;
    }
}
