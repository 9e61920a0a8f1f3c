//! Letting a request in, now, later or not at all.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Reason, Shaping};
use crate::rules::{Ban, HeaderEdits, Judgement, Pass, RequestView, Rule, Terms, client_of, seconds};

/// A request that is let in; it counts as being inside until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    /// What holds of it.
    pub(crate) terms: Terms,
    /// Its correlation id, if a trusted proxy gave it one in the header that is configured.
    pub(crate) cid: Option<String>,
    _passes: Vec<Pass>,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    /// The other end of the connection.
    pub(crate) peer: IpAddr,
    /// Whether its word on clients is believed.
    pub(crate) is_trusted: bool,
    /// Whether the client speaks TLS, with us or with a trusted proxy.
    pub(crate) is_secure: bool,
    /// The request's correlation id.
    pub(crate) cid: &'a str,
}

/// A request that is not let in, and what its client is told.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) detail: &'static str,
    /// Further header fields, as lines.
    pub(crate) fields: String,
    /// The rule that says so, if it is one.
    pub(crate) rule: Option<Arc<str>>,
}

impl Shaping {
    /// Lets a request in; waits for its turn where that is configured.
    pub(crate) async fn admit(
        &self,
        view: &(impl RequestView + Sync),
        asker: Asker<'_>,
    ) -> Result<Admitted, Rejection> {
        let policy = self.policy.load_full();
        let client = client_of(view, asker.peer, asker.is_trusted);
        if asker.is_trusted && !policy.lets_in(client) {
            return Err(self.rejection(Reason::Address, None, &[]));
        }
        if !asker.is_secure
            && let Some((status, to)) = policy.https.redirect(view)
        {
            return Err(self.redirected(status, &to, None, &[]));
        }
        let Judgement { ban, gates, mut terms } = policy.rules.judge(view, client, Instant::now());
        if asker.is_secure {
            terms.response.extend(policy.https.hsts.clone());
        }
        let cid = policy.request_id_header.as_ref().and_then(|name| {
            let given = asker.is_trusted.then(|| view.header(name).and_then(id_of)).flatten();
            terms.name(name, given.unwrap_or(asker.cid));
            given.map(str::to_owned)
        });
        if let Some((ban, rule)) = ban {
            return Err(self.banned(ban, &rule, &terms).await);
        }
        let mut passes = Vec::new();
        for (gate, rule) in gates {
            let Ok(pass) = gate.enter().await else {
                rule.count_refused();
                return Err(self.rejection(Reason::Concurrency, Some(&rule), &terms.response));
            };
            passes.push(pass);
        }
        if policy.has_in_flight_max {
            let Ok(pass) = self.in_flight.enter().await else {
                return Err(self.rejection(Reason::InFlight, None, &terms.response));
            };
            passes.push(pass);
        }
        Ok(Admitted {
            terms,
            cid,
            _passes: passes,
        })
    }

    async fn banned(&self, ban: Ban, rule: &Rule, terms: &Terms) -> Rejection {
        match ban {
            Ban::Denied { status, delay } => {
                if let Some(delay) = delay {
                    self.delay(delay).await;
                }
                let mut rejection = self.rejection(Reason::Denied, Some(rule), &terms.response);
                rejection.status = status;
                rejection
            }
            Ban::TooMany { retry_after } => {
                let mut rejection = self.rejection(Reason::RateLimit, Some(rule), &terms.response);
                add_field(
                    &mut rejection.fields,
                    "retry-after",
                    &seconds(retry_after).max(1).to_string(),
                );
                rejection
            }
            Ban::Redirected { status, to } => self.redirected(status, &to, Some(rule), &terms.response),
        }
    }

    fn redirected(&self, status: u16, to: &str, rule: Option<&Rule>, response: &[Arc<HeaderEdits>]) -> Rejection {
        let mut rejection = self.rejection(Reason::Redirected, rule, response);
        rejection.status = status;
        add_field(&mut rejection.fields, "location", to);
        rejection
    }

    /// Lets a client wait that is refused in the end; when too many do already, it is refused at once.
    async fn delay(&self, delay: Duration) {
        if self.delayed.fetch_add(1, Ordering::Relaxed) < self.delayed_max {
            let _delayed = Delayed(self);
            tokio::time::sleep(delay).await;
        } else {
            drop(Delayed(self));
        }
    }

    fn rejection(&self, reason: Reason, rule: Option<&Rule>, response: &[Arc<HeaderEdits>]) -> Rejection {
        self.reject(reason);
        let (status, kind, detail) = match reason {
            Reason::RateLimit => (429, "too-many-requests", "the rate limit is reached"),
            Reason::Concurrency => (
                503,
                "busy",
                "too many such requests are under way; nothing was sent, try again",
            ),
            Reason::InFlight => (
                503,
                "busy",
                "too many requests are under way; nothing was sent, try again",
            ),
            Reason::Redirected => (308, "redirected", "this is found elsewhere"),
            _ => (403, "forbidden", "the load balancer does not let this request in"),
        };
        let mut fields = String::new();
        for (name, value, _) in response.iter().flat_map(|edits| edits.iter()) {
            if let Some(value) = value {
                add_field(&mut fields, name, value);
            }
        }
        if status == 503 {
            fields.push_str("retry-after: 1\r\nx-tenon-outcome: not-sent\r\n");
        }
        Rejection {
            status,
            kind,
            detail,
            fields,
            rule: rule.map(|rule| Arc::clone(&rule.name)),
        }
    }
}

/// An id that can be passed on and logged as it is.
fn id_of(value: &[u8]) -> Option<&str> {
    const BYTES_MAX: usize = 128;
    let is_plain = !value.is_empty() && value.len() <= BYTES_MAX && value.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(value).ok().filter(|_| is_plain)
}

fn add_field(fields: &mut String, name: &str, value: &str) {
    // Writing to a string can't fail.
    let _ = write!(fields, "{name}: {value}\r\n");
}

/// Counts as delayed while it lives.
struct Delayed<'a>(&'a Shaping);

impl Drop for Delayed<'_> {
    fn drop(&mut self) {
        self.0.delayed.fetch_sub(1, Ordering::Relaxed);
    }
}
