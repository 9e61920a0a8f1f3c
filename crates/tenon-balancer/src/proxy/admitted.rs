//! Requests that are looked at by rules and limits before a server sees them.

use std::sync::Arc;

use tokio::time::Instant;

use super::answers::{self, Addressee};
use super::client::ClientStream;
use super::connection::{Connection, Next, Served};
use crate::codec::{Body, Method, Persistence, Refusal, Request};
use crate::counters::count;
use crate::rules::{HeadView, RequestView as _, field_of_head};
use crate::shaping::{Asker, Rejection};

impl<S: ClientStream> Connection<S> {
    /// Serves one request by a server if rules and limits let it in.
    pub(super) async fn exchange_if_admitted(&mut self, request: &Request) -> Served {
        let worker = Arc::clone(&self.worker);
        let asker = Asker {
            peer: self.peer.ip,
            is_trusted: self.peer.trusted,
            is_secure: self.is_secure(),
            cid: self.cid(),
        };
        let view = HeadView::new(&self.head, request.line_bytes);
        if matches!(request.method, Method::Get | Method::Head)
            && let Some(proof) = worker.shared.acme.challenges.answer(view.target())
        {
            return self
                .answer_itself(request, |out, to| answers::proof(out, &proof, to))
                .await;
        }
        let mut admitted = match worker.shared.shaping.admit(&view, asker).await {
            Ok(admitted) => admitted,
            Err(rejection) => return self.reject(request, &rejection).await,
        };
        for edits in &admitted.terms.request {
            edits.apply_to_head(&mut self.head, 0);
        }
        if admitted.cid.is_some() {
            self.given_cid = admitted.cid.take();
        }
        if !admitted.terms.is_plain() {
            self.terms = Some(Box::new(std::mem::take(&mut admitted.terms)));
        }
        if let Body::Length(length) = request.body
            && length > self.body_bytes_max()
        {
            return self.answer_refusal(request, Refusal::BodyTooLarge, None).await;
        }
        self.exchange(request).await
    }

    /// Whether the client speaks TLS, with us or with a proxy whose word is believed.
    fn is_secure(&self) -> bool {
        self.peer.scheme == "https"
            || (self.peer.trusted && field_of_head(&self.head, "x-forwarded-proto") == Some(b"https"))
    }

    /// Bytes of the request's body at most.
    pub(super) fn body_bytes_max(&self) -> u64 {
        let limit = self.worker.shared.shaping.limits.body_bytes_max();
        let of_rules = self.terms.as_ref().and_then(|terms| terms.body_bytes_max);
        of_rules.map_or(limit, |max| max.min(limit))
    }

    /// The request's correlation id.
    pub(super) fn cid(&self) -> &str {
        self.given_cid.as_deref().unwrap_or_else(|| self.cid.as_str())
    }

    async fn reject(&mut self, request: &Request, rejection: &Rejection) -> Served {
        count(&self.worker.counters.refused);
        // A body that is here already is passed over; for the rest of one nobody waits.
        let rest = match request.body {
            Body::None => Some(0),
            Body::Length(length) => usize::try_from(length)
                .ok()
                .filter(|length| *length <= self.buffer.len()),
            Body::Chunked => None,
        };
        self.buffer.consume(rest.unwrap_or_default());
        let persistence = self.persistence(request, rest.is_some());
        let to = Addressee {
            method: Some(request.method),
            cid: self.given_cid.as_deref().unwrap_or_else(|| self.cid.as_str()),
            persistence,
        };
        self.out.clear();
        answers::rejection(&mut self.out, rejection, to);
        self.rule.clone_from(&rejection.rule);
        let bytes = self.send().await;
        Served {
            status: rejection.status,
            bytes,
            server: None,
            server_micros: None,
            retries: 0,
            next: match persistence {
                Persistence::Close => Next::Linger,
                _ => Next::Keep,
            },
            at: Instant::now(),
        }
    }
}
