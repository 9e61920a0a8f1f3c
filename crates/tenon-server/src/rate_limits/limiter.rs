//! The rate limit of one channel, security definition or security group.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::allotment::Allotment;
use super::config::{LimitPer, RateLimitConfig};
use super::meters::Meters;
use super::rules::{Rule, Rules};
use crate::call::CallerIdentity;

/// Networks of IPv6 addresses that count as one client.
const IPV6_CLIENT_BITS: u32 = 64;

/// All `rate-limit` objects, by name.
#[derive(Debug)]
pub(crate) struct Limits {
    rules: BTreeMap<String, Arc<Rules>>,
    meters: Arc<Meters>,
}

impl Limits {
    /// These definitions, whose counters are in `meters`.
    pub(crate) fn new(configs: BTreeMap<String, RateLimitConfig>, meters: Arc<Meters>) -> Self {
        let rules = configs
            .into_iter()
            .map(|(name, config)| (name, Arc::new(Rules::new(&config))));
        Self {
            rules: rules.collect(),
            meters,
        }
    }

    /// The limiter of an owner, such as `rest-channel/orders`, that names a limit. A limit that can't be used lets nothing
    /// through: its rules may be there to keep somebody out.
    pub(crate) fn limiter(&self, name: &str, owner: &str) -> Arc<Limiter> {
        let rules = self
            .rules
            .get(name)
            .cloned()
            .unwrap_or_else(|| Arc::new(Rules::closed()));
        let key = format!("rate-limit/{name}/{owner}");
        let shared = rules.rules.iter().enumerate().map(|(index, rule)| {
            let measures = rule.measures.iter().enumerate();
            let is_shared = rule.per == LimitPer::All;
            let counters = measures
                .filter(|_| is_shared)
                .map(|(number, measure)| self.meters.allotment(&format!("{key}/{index}.{number}"), measure.spec));
            counters.collect()
        });
        Arc::new(Limiter {
            names: [shown(name), shown(&format!("{name}-window"))],
            shared: shared.collect(),
            key,
            rules,
            meters: Arc::clone(&self.meters),
        })
    }
}

/// The name as it may stand between quotes in a header.
fn shown(name: &str) -> Arc<str> {
    let plain = |c: char| {
        if c.is_ascii_graphic() && !matches!(c, '"' | '\\') {
            c
        } else {
            '-'
        }
    };
    name.chars().map(plain).collect::<String>().into()
}

/// Counts the requests of one owner.
#[derive(Debug)]
pub(crate) struct Limiter {
    /// What the numbers of a rule are called in headers.
    names: [Arc<str>; 2],
    key: String,
    rules: Arc<Rules>,
    /// The counters of rules whose numbers all requests share; empty for others.
    shared: Vec<Vec<Arc<Allotment>>>,
    meters: Arc<Meters>,
}

/// How a limit stands, for the headers of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Level {
    pub(super) name: Arc<str>,
    pub(super) quota: u64,
    pub(super) window_seconds: u64,
    pub(super) remaining: u64,
    pub(super) reset: Duration,
}

/// Whether a request may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may; how its limits stand now.
    Within(Vec<Level>),
    /// It may not now; when it is worth trying again.
    Over(Vec<Level>, Duration),
    /// It may not at all.
    Denied,
}

impl Limiter {
    /// Whether it must know who calls, so that it can only be asked once that is known.
    pub(crate) fn needs_caller(&self) -> bool {
        self.rules.rules.iter().any(|rule| rule.per == LimitPer::Caller)
    }

    /// Counts a request.
    pub(crate) async fn check(&self, address: Option<IpAddr>, caller: Option<&CallerIdentity>) -> Verdict {
        let Some((index, rule)) = self.rules.find(address, self.meters.clock().now()) else {
            return Verdict::Within(Vec::new());
        };
        if rule.deny {
            return Verdict::Denied;
        }
        if rule.per == LimitPer::All {
            return self.count(rule, &self.shared[index]).await;
        }
        let who = client(rule.per, address, caller);
        let counters = rule.measures.iter().enumerate().map(|(number, measure)| {
            let key = format!("{}/{index}.{number}/{who}", self.key);
            self.meters.allotment(&key, measure.spec)
        });
        self.count(rule, &counters.collect::<Vec<_>>()).await
    }

    async fn count(&self, rule: &Rule, counters: &[Arc<Allotment>]) -> Verdict {
        let mut levels = Vec::with_capacity(counters.len());
        for (number, (measure, counter)) in rule.measures.iter().zip(counters).enumerate() {
            let standing = counter.use_one(&self.meters).await;
            levels.push(Level {
                name: Arc::clone(&self.names[number.min(1)]),
                quota: measure.quota,
                window_seconds: measure.window_seconds,
                remaining: standing.remaining,
                reset: standing.reset,
            });
            if !standing.is_within {
                for passed in &counters[..number] {
                    passed.give_back();
                }
                return Verdict::Over(levels, standing.retry_after);
            }
        }
        Verdict::Within(levels)
    }
}

/// Whom a counter is for.
fn client(per: LimitPer, address: Option<IpAddr>, caller: Option<&CallerIdentity>) -> String {
    match (per, caller) {
        (LimitPer::Caller, Some(caller)) => format!("{}/{}", caller.name, caller.username),
        _ => match address {
            Some(IpAddr::V6(address)) => (address.to_bits() >> (128 - IPV6_CLIENT_BITS)).to_string(),
            Some(address) => address.to_string(),
            None => String::new(),
        },
    }
}
