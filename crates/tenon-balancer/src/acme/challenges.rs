//! Proofs that authorities ask for under `/.well-known/acme-challenge/` (http-01), for as long as they may ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::proxy::Shared;
use crate::rules::path_of;

/// Where authorities ask.
const PREFIX: &str = "/.well-known/acme-challenge/";

/// What is answered to authorities, by token.
#[derive(Debug, Default)]
pub(crate) struct Challenges(Mutex<HashMap<String, String>>);

impl Challenges {
    /// The answer to a request for `target`; none if it is no challenge of ours.
    pub(crate) fn answer(&self, target: &str) -> Option<String> {
        let token = path_of(target).strip_prefix(PREFIX)?;
        self.lock().get(token).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A challenge that is answered while this lives.
pub(super) struct Outstanding {
    shared: Arc<Shared>,
    token: String,
}

impl Outstanding {
    /// Answers what `token` asks for with `proof` from now on.
    pub(super) fn new(shared: &Arc<Shared>, token: &str, proof: &str) -> Self {
        let mut answers = shared.acme.challenges.lock();
        answers.insert(token.to_owned(), proof.to_owned());
        shared.shaping.expect_challenges(true);
        Self {
            shared: Arc::clone(shared),
            token: token.to_owned(),
        }
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        let mut answers = self.shared.acme.challenges.lock();
        answers.remove(&self.token);
        self.shared.shaping.expect_challenges(!answers.is_empty());
    }
}
