//! Requests that end without a server's whole answer: what their clients are told.

use tokio::time::Instant;

use super::answers::{self, Addressee, Failure, Outcome};
use super::client::ClientStream;
use super::connection::{Connection, Next, Served};
use super::exchange::Attempts;
use super::relay::RelayError;
use crate::codec::{Body, Persistence, Refusal, Request};
use crate::counters::count;

impl<S: ClientStream> Connection<S> {
    /// Answers a request that no server answered.
    pub(super) async fn answer_failure(
        &mut self,
        request: &Request,
        failure: Failure,
        outcome: Outcome,
        attempts: &Attempts,
    ) -> Served {
        let counters = &self.worker.counters;
        count(if outcome == Outcome::Unknown {
            &counters.unknown
        } else {
            &counters.not_sent
        });
        tracing::warn!(
            cid = self.cid(),
            server = attempts.last.as_ref().map(|upstream| upstream.name.as_str()),
            ?failure,
            ?outcome,
            "a request was not answered by a server",
        );
        let persistence = self.persistence(request, matches!(request.body, Body::None | Body::Length(0)));
        let to = Addressee {
            method: Some(request.method),
            cid: self.given_cid.as_deref().unwrap_or_else(|| self.cid.as_str()),
            persistence,
        };
        self.out.clear();
        answers::failure(&mut self.out, failure, outcome, to);
        let bytes = self.send().await;
        let next = match persistence {
            Persistence::Close => Next::Linger,
            _ => Next::Keep,
        };
        Served {
            status: failure.status(),
            bytes,
            server: attempts.last.clone(),
            server_micros: None,
            retries: attempts.again,
            next,
            at: Instant::now(),
        }
    }

    /// Answers a request that is refused, before a server had it or while it had a part of it.
    pub(super) async fn answer_refusal(
        &mut self,
        request: &Request,
        refusal: Refusal,
        attempts: Option<&Attempts>,
    ) -> Served {
        count(&self.worker.counters.refused);
        let to = Addressee {
            method: Some(request.method),
            cid: self.given_cid.as_deref().unwrap_or_else(|| self.cid.as_str()),
            persistence: Persistence::Close,
        };
        self.out.clear();
        answers::refusal(&mut self.out, refusal, to);
        let bytes = self.send().await;
        let status = refusal.status();
        Served {
            status,
            bytes,
            server: attempts.and_then(|attempts| attempts.last.clone()),
            server_micros: None,
            retries: attempts.map_or(0, |attempts| attempts.again),
            next: Next::Linger,
            at: Instant::now(),
        }
    }

    /// A request whose client is gone, or whose answer broke off.
    pub(super) fn cut(&self, attempts: &Attempts) -> Served {
        count(&self.worker.counters.cut);
        Served {
            status: 499,
            bytes: 0,
            server: attempts.last.clone(),
            server_micros: None,
            retries: attempts.again,
            next: Next::Cut,
            at: Instant::now(),
        }
    }
}

/// What the client is told of a request that ended without an answer.
pub(super) fn ended(sent: bool, error: &RelayError) -> (Failure, Outcome) {
    let failure = match error {
        RelayError::Timeout => Failure::Timeout,
        RelayError::ServerDead => Failure::ServerDead,
        RelayError::BadAnswer => Failure::BadAnswer,
        _ => Failure::Lost,
    };
    if sent {
        (failure, Outcome::Unknown)
    } else {
        (Failure::NoServer, Outcome::NotSent)
    }
}
