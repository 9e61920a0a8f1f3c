//! Which rule of a limit fits a request.

use std::net::IpAddr;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Timestamp as Instant, Zoned};
use tenon_model::{Network, Timestamp};
use tenon_store::{QuotaKind, QuotaSpec};

use super::config::{LimitPer, RateLimitConfig, RuleConfig, minutes_of, read_time};

/// A limit, ready to be asked.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) rules: Vec<Rule>,
    zone: TimeZone,
}

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    networks: Vec<Network>,
    times: Vec<Times>,
    pub(super) deny: bool,
    pub(super) measures: Vec<Measure>,
    pub(super) per: LimitPer,
}

/// One number of a rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measure {
    /// What the store is told.
    pub(super) spec: QuotaSpec,
    /// What clients are told: how many, in how many seconds.
    pub(super) quota: u64,
    pub(super) window_seconds: u64,
}

#[derive(Debug)]
struct Times {
    from: u16,
    to: u16,
    days: Vec<Weekday>,
}

impl Rules {
    /// The rules of a definition that was checked; what can't be read fits nothing.
    pub(super) fn new(config: &RateLimitConfig) -> Self {
        Self {
            rules: config.rules.iter().map(Rule::new).collect(),
            zone: TimeZone::get(&config.time_zone).unwrap_or(TimeZone::UTC),
        }
    }

    /// One rule that refuses everything.
    pub(super) fn closed() -> Self {
        let rule = RuleConfig {
            deny: true,
            ..RuleConfig::default()
        };
        Self {
            rules: vec![Rule::new(&rule)],
            zone: TimeZone::UTC,
        }
    }

    /// The first rule that fits, with its index. A client whose address is not known fits rules for all addresses only.
    pub(super) fn find(&self, address: Option<IpAddr>, now: Timestamp) -> Option<(usize, &Rule)> {
        let mut local = None;
        self.rules.iter().enumerate().find(|(_, rule)| {
            let is_there = rule.networks.is_empty()
                || address.is_some_and(|address| rule.networks.iter().any(|network| network.contains(address)));
            is_there
                && (rule.times.is_empty() || {
                    let local = local.get_or_insert_with(|| self.local(now));
                    rule.times.iter().any(|times| times.hold(local))
                })
        })
    }

    fn local(&self, now: Timestamp) -> Zoned {
        Instant::from_millisecond(now.as_millis())
            .unwrap_or(Instant::UNIX_EPOCH)
            .to_zoned(self.zone.clone())
    }
}

impl Rule {
    fn new(config: &RuleConfig) -> Self {
        let networks: Vec<Network> = config.addresses.iter().filter_map(|text| text.parse().ok()).collect();
        let times = config.times.iter().filter_map(|times| {
            Some(Times {
                from: read_time(&times.from)?,
                to: read_time(&times.to)?,
                days: times.days.iter().map(|day| day.weekday()).collect(),
            })
        });
        Self {
            networks,
            times: times.collect(),
            deny: config.deny,
            measures: [bucket(config), window(config)].into_iter().flatten().collect(),
            per: config.per,
        }
    }
}

fn bucket(config: &RuleConfig) -> Option<Measure> {
    let rate_per_second = config.rate?;
    let burst = config.burst.map_or(rate_per_second.max(1.0).floor(), float);
    Some(Measure {
        spec: QuotaSpec {
            kind: QuotaKind::TokenBucket { rate_per_second, burst },
        },
        quota: count(burst),
        window_seconds: count((burst / rate_per_second).ceil()).max(1),
    })
}

fn window(config: &RuleConfig) -> Option<Measure> {
    let limit = config.limit?;
    Some(Measure {
        spec: QuotaSpec {
            kind: QuotaKind::FixedWindow {
                limit,
                unit: config.unit.quota_unit(),
            },
        },
        quota: limit,
        window_seconds: config.unit.seconds(),
    })
}

impl Times {
    fn hold(&self, now: &Zoned) -> bool {
        let minute = minutes_of(now.time());
        let on = |day: Weekday| self.days.is_empty() || self.days.contains(&day);
        let today = now.weekday();
        if self.from < self.to {
            on(today) && (self.from..self.to).contains(&minute)
        } else {
            (on(today) && minute >= self.from) || (on(today.previous()) && minute < self.to)
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "limits beyond 2^53 may be off by a few")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "casts of floats saturate, and only whole ones count"
)]
pub(super) fn count(number: f64) -> u64 {
    number as u64
}
