//! Rules: what happens to requests before a server sees them.
//!
//! [`RuleSet::compile`] makes a set of what users wrote (kind `balancer-rule`), which takes over what the set before it had
//! counted; [`RuleSet::judge`] says at once what becomes of a request, except for waiting, which is left to the caller.
//! Judging touches only rules that may be for the request's host and path, and shares with other threads nothing but the
//! numbers that are limited. Not here: connections, and limits of the load balancer as a whole (`shaping`).
//!
//! To add an action, add it to the kind, to `rule::Action`, and to [`RuleSet::judge`].

mod buckets;
mod edits;
mod gate;
mod index;
mod matches;
mod networks;
mod path;
mod rule;
#[cfg(test)]
mod tests;
mod view;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub(crate) use edits::{HeaderEdits, field_of_head};
pub(crate) use gate::{Gate, GateLimits, Pass};
pub(crate) use networks::Networks;
pub(crate) use path::PathPattern;
pub(crate) use rule::Rule;
pub(crate) use view::{HeadView, RequestView, client_of};

use buckets::{Buckets, Rate, Standing};
use index::Index;
use rule::{Action, Keys, RateLimit};
pub(crate) use view::path_of;

use crate::kinds::RuleConfig;

/// Rules in their order.
#[derive(Debug, Default)]
pub(crate) struct RuleSet {
    rules: Vec<Arc<Rule>>,
    index: Index,
    keys: Arc<Keys>,
}

/// A rule that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unusable {
    pub(crate) name: String,
    pub(crate) problem: String,
}

/// What a rule did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RuleReport {
    pub(crate) name: String,
    /// Requests that matched.
    pub(crate) hits: u64,
    /// Those that it refused.
    pub(crate) refused: u64,
    /// Those that wait because of it now.
    pub(crate) queued: usize,
}

/// Why a request was not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ban {
    /// It is denied, after a while.
    Denied { status: u16, delay: Option<Duration> },
    /// There were too many; it may be tried again after a while.
    TooMany { retry_after: Duration },
    /// It is sent elsewhere.
    Redirected { status: u16, to: String },
}

/// What rules say of a request.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    /// Why it is not let in, and the rule that says so.
    pub(crate) ban: Option<(Ban, Arc<Rule>)>,
    /// Where it must wait for its turn, in this order, unless it is banned.
    pub(crate) gates: Vec<(Arc<Gate>, Arc<Rule>)>,
    pub(crate) terms: Terms,
}

/// What holds of a request that is let in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    /// Changes to what the server gets.
    pub(crate) request: Vec<Arc<HeaderEdits>>,
    /// Changes to what the client gets, whoever answers.
    pub(crate) response: Vec<Arc<HeaderEdits>>,
    pub(crate) body_bytes_max: Option<u64>,
    /// How long the server may take to the head of its answer.
    pub(crate) request_timeout: Option<Duration>,
}

impl RuleSet {
    /// Makes a set of rules by their names. What is unchanged goes on counting where it was in `before`; of a rule that can't be
    /// used, what was in force before stays so. Limits by address, header, path and host know about `keys_max` of them at a time.
    pub(crate) fn compile(
        configs: &[(String, RuleConfig)],
        before: &Self,
        keys_max: usize,
        now: Instant,
    ) -> (Self, Vec<Unusable>) {
        let known: HashMap<&str, &Arc<Rule>> = before.rules.iter().map(|rule| (&*rule.name, rule)).collect();
        let mut unusable = Vec::new();
        let mut rules: Vec<Arc<Rule>> = Vec::with_capacity(configs.len());
        for (name, config) in configs.iter().filter(|(_, config)| config.is_active) {
            let before = known.get(name.as_str()).copied();
            match Rule::compile((name, config), before.map(|rule| &**rule), keys_max, now) {
                Ok(rule) => rules.push(Arc::new(rule)),
                Err(problem) => {
                    unusable.push(Unusable {
                        name: name.clone(),
                        problem,
                    });
                    rules.extend(before.cloned());
                }
            }
        }
        rules.sort_by(|a, b| (a.order, &a.name).cmp(&(b.order, &b.name)));
        let set = Self {
            index: Index::new(rules.iter().map(|rule| &rule.matches)),
            rules,
            keys: Arc::clone(&before.keys),
        };
        (set, unusable)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What each rule did, in their order.
    pub(crate) fn report(&self) -> Vec<RuleReport> {
        self.rules
            .iter()
            .map(|rule| RuleReport {
                name: rule.name.to_string(),
                hits: rule.counts.hits.load(Ordering::Relaxed),
                refused: rule.counts.refused.load(Ordering::Relaxed),
                queued: rule.queued(),
            })
            .collect()
    }

    /// Says what becomes of a request of this client.
    pub(crate) fn judge(&self, view: &impl RequestView, client: IpAddr, now: Instant) -> Judgement {
        let mut judgement = Judgement::default();
        let mut levels = Levels::default();
        for number in self.index.candidates(view) {
            let rule = &self.rules[number];
            if !rule.matches.hold(view, client) {
                continue;
            }
            rule.counts.hits.fetch_add(1, Ordering::Relaxed);
            let ban = match &rule.action {
                Action::Allow => break,
                Action::Deny { status, delay } => Ban::Denied {
                    status: *status,
                    delay: *delay,
                },
                Action::Redirect { to, status } => Ban::Redirected {
                    status: *status,
                    to: location(to, view),
                },
                Action::RateLimit(limit) => {
                    let key = self.keys.of(&limit.by, view, client);
                    match levels.take(&rule.name, limit, key, now) {
                        None => continue,
                        Some(retry_after) => Ban::TooMany { retry_after },
                    }
                }
                Action::Concurrency(gate) => {
                    judgement.gates.push((Arc::clone(gate), Arc::clone(rule)));
                    continue;
                }
                action => {
                    judgement.terms.add(action);
                    continue;
                }
            };
            rule.count_refused();
            levels.give_back();
            judgement.ban = Some((ban, Arc::clone(rule)));
            break;
        }
        judgement.terms.response.extend(levels.headers());
        judgement
    }
}

impl Terms {
    /// Whether nothing is special about the request.
    pub(crate) fn is_plain(&self) -> bool {
        self.request.is_empty()
            && self.response.is_empty()
            && self.body_bytes_max.is_none()
            && self.request_timeout.is_none()
    }

    /// Tells server and client the request's id in a header of that name; the server also as its correlation id.
    pub(crate) fn name(&mut self, header: &str, id: &str) {
        let (header, id) = (header.to_owned(), id.to_owned());
        let edits = Arc::new(HeaderEdits::set([(&header, &id)]));
        let cid = Arc::new(HeaderEdits::set([(&"x-tenon-cid".to_owned(), &id)]));
        self.request.extend([Arc::clone(&edits), cid]);
        self.response.push(edits);
    }

    fn add(&mut self, action: &Action) {
        match action {
            Action::SetHeader { request, response } => {
                if !request.is_empty() {
                    self.request.push(Arc::clone(request));
                }
                if !response.is_empty() {
                    self.response.push(Arc::clone(response));
                }
            }
            Action::Limits {
                body_bytes_max,
                request_timeout,
            } => {
                // Of several, the narrowest holds.
                self.body_bytes_max = self.body_bytes_max.into_iter().chain(*body_bytes_max).min();
                self.request_timeout = self.request_timeout.into_iter().chain(*request_timeout).min();
            }
            _ => {}
        }
    }
}

/// The rate limits that a request took from.
#[derive(Default)]
struct Levels<'a> {
    taken: Vec<(&'a Buckets, u128)>,
    policy: String,
    limit: String,
}

impl<'a> Levels<'a> {
    /// Takes one request; if there is none left, gives when it is worth trying again.
    fn take(&mut self, name: &str, limit: &'a RateLimit, key: u128, now: Instant) -> Option<Duration> {
        let standing = limit.buckets.take(key, now);
        self.note(name, limit.buckets.rate(), standing);
        if standing.is_within {
            self.taken.push((&limit.buckets, key));
            None
        } else {
            Some(standing.retry_after)
        }
    }

    /// As revision 10 of the draft draft-ietf-httpapi-ratelimit-headers writes it, like servers do.
    fn note(&mut self, name: &str, rate: Rate, standing: Standing) {
        let separator = if self.policy.is_empty() { "" } else { ", " };
        // Names of objects have no quotes; writing to a string can't fail.
        let _ = write!(
            self.policy,
            "{separator}\"{name}\";q={};w={}",
            rate.burst(),
            rate.window_seconds()
        );
        let reset = seconds(standing.reset);
        let _ = write!(self.limit, "{separator}\"{name}\";r={};t={reset}", standing.remaining);
    }

    /// A request that is refused in the end takes nothing.
    fn give_back(&mut self) {
        for (buckets, key) in self.taken.drain(..) {
            buckets.give_back(key);
        }
    }

    fn headers(self) -> Option<Arc<HeaderEdits>> {
        (!self.policy.is_empty()).then(|| {
            let fields = vec![("ratelimit-policy", self.policy), ("ratelimit", self.limit)];
            Arc::new(HeaderEdits::add(fields))
        })
    }
}

/// Whole seconds, rounded up.
pub(crate) fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// Where a request is sent: what stands in braces is of the request.
pub(crate) fn location(to: &str, view: &impl RequestView) -> String {
    let target = view.target();
    let path = path_of(target);
    // `//host` would be read as another host.
    let path = format!("/{}", path.trim_start_matches('/'));
    let host = view::host_of(view.authority());
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.into_owned()
    };
    to.replace("{host}", &host)
        .replace("{path}", &path)
        .replace("{query}", &target[path_of(target).len()..])
}
