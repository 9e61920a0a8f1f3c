//! One rule, ready to be applied.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::buckets::{Buckets, Rate};
use super::edits::HeaderEdits;
use super::gate::{Gate, GateLimits};
use super::matches::Matches;
use super::path::decode;
use super::view::{RequestView, host_of, path_of};
use crate::kinds::{RuleAction, RuleConfig};

/// A rule with what it has counted.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: Arc<str>,
    pub(super) order: i32,
    pub(super) matches: Matches,
    pub(super) action: Action,
    pub(crate) counts: Arc<Counts>,
    config: RuleConfig,
}

/// What a rule did since the process began.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) hits: AtomicU64,
    pub(crate) refused: AtomicU64,
}

/// What a rule does.
#[derive(Debug)]
pub(super) enum Action {
    Allow,
    Deny {
        status: u16,
        delay: Option<Duration>,
    },
    RateLimit(RateLimit),
    Concurrency(Arc<Gate>),
    Redirect {
        to: Box<str>,
        status: u16,
    },
    SetHeader {
        request: Arc<HeaderEdits>,
        response: Arc<HeaderEdits>,
    },
    Limits {
        body_bytes_max: Option<u64>,
        request_timeout: Option<Duration>,
    },
}

/// So many in a time.
#[derive(Debug)]
pub(super) struct RateLimit {
    pub(super) by: By,
    pub(super) buckets: Arc<Buckets>,
}

/// Who shares a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum By {
    Address,
    Header(Box<str>),
    Path,
    Host,
    All,
}

/// Makes keys of buckets that nobody outside can foresee.
#[derive(Debug, Default)]
pub(super) struct Keys(RandomState, RandomState);

impl Rule {
    /// Makes a rule of what a user wrote; it goes on counting where `before`, the rule of the same name, was.
    pub(super) fn compile(
        (name, config): (&str, &RuleConfig),
        before: Option<&Self>,
        keys_max: usize,
        now: Instant,
    ) -> Result<Self, String> {
        let wanted = config.action.only().ok_or("exactly one action is needed")?;
        let unchanged = before.filter(|before| before.config.matches == config.matches);
        let action = match wanted {
            RuleAction::Allow => Action::Allow,
            RuleAction::Deny(deny) => Action::Deny {
                status: deny.status,
                delay: deny.delay.map(|delay| delay.0),
            },
            RuleAction::RateLimit(limit) => {
                let rate = Rate::new(limit.requests.into(), limit.per.duration(), limit.burst.map(u64::from));
                let by = By::parse(&limit.by)?;
                let known = unchanged.and_then(|before| match &before.action {
                    Action::RateLimit(known) if known.by == by && known.buckets.rate() == rate => Some(&known.buckets),
                    _ => None,
                });
                let new = || Arc::new(Buckets::new(rate, keys_max, now));
                Action::RateLimit(RateLimit {
                    by,
                    buckets: known.map_or_else(new, Arc::clone),
                })
            }
            RuleAction::Concurrency(limit) => {
                let limits = GateLimits {
                    max: limit.max as usize,
                    queue_max: limit.queue_max as usize,
                    queue_timeout: limit.queue_timeout.0,
                };
                Action::Concurrency(match before.map(|before| &before.action) {
                    Some(Action::Concurrency(gate)) => {
                        gate.set_limits(limits);
                        Arc::clone(gate)
                    }
                    _ => Arc::new(Gate::new(limits)),
                })
            }
            RuleAction::Redirect(redirect) => Action::Redirect {
                to: redirect.to.into(),
                status: redirect.status,
            },
            RuleAction::SetHeader(headers) => Action::SetHeader {
                request: Arc::new(HeaderEdits::set(&headers.request)),
                response: Arc::new(HeaderEdits::set(&headers.response)),
            },
            RuleAction::Limits(limits) => Action::Limits {
                body_bytes_max: limits.body_bytes_max,
                request_timeout: limits.request_timeout.map(|timeout| timeout.0),
            },
        };
        Ok(Self {
            name: name.into(),
            order: config.order,
            matches: Matches::compile(&config.matches)?,
            action,
            counts: before.map(|before| Arc::clone(&before.counts)).unwrap_or_default(),
            config: config.clone(),
        })
    }

    /// Counts a request that is not let in because of this rule.
    pub(crate) fn count_refused(&self) {
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that wait because of this rule now.
    pub(super) fn queued(&self) -> usize {
        match &self.action {
            Action::Concurrency(gate) => gate.waiting(),
            _ => 0,
        }
    }
}

impl By {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(match text.split_once(':') {
            Some(("header", name)) => Self::Header(name.to_ascii_lowercase().into()),
            _ => match text {
                "address" => Self::Address,
                "path" => Self::Path,
                "host" => Self::Host,
                "all" => Self::All,
                _ => return Err(format!("'{text}' is nothing that can share a limit")),
            },
        })
    }
}

impl Keys {
    /// Whose bucket a request takes from.
    pub(super) fn of(&self, by: &By, view: &impl RequestView, client: IpAddr) -> u128 {
        let half = |state: &RandomState| {
            let mut hasher = state.build_hasher();
            match by {
                By::Address => match client.to_canonical() {
                    IpAddr::V4(address) => hasher.write_u32(address.to_bits()),
                    // One customer has a network of 64 bits at least.
                    IpAddr::V6(address) => hasher.write_u128(address.to_bits() >> 64),
                },
                By::Header(name) => hasher.write(view.header(name).unwrap_or_default()),
                By::Path => {
                    for segment in path_of(view.target()).split('/') {
                        hasher.write(decode(segment).as_bytes());
                        hasher.write_u8(b'/');
                    }
                }
                By::Host => hasher.write(host_of(view.authority()).as_bytes()),
                By::All => {}
            }
            u128::from(hasher.finish())
        };
        half(&self.0) << 64 | half(&self.1)
    }
}
