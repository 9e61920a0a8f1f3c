//! Limits shared by simulated servers, in simulated time; and which rule fits.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use proptest::prelude::{ProptestConfig, prop, prop_assert, proptest};
use serde_json::{Value, json};
use tenon_model::{Clock, KindConfig, ManualClock, Timestamp};
use tenon_store::{QuotaGrant, QuotaSpec, Quotas, StoreError};
use tokio::time::Instant;

use super::config::RateLimitConfig;
use super::limiter::{Limiter, Limits, Verdict};
use super::meters::{Meters, QuotaSource};
use super::rules::Rules;
use crate::call::CallerIdentity;

/// 2027-01-15T08:00:00Z, a Friday.
const START_MS: i64 = 1_800_000_000_000;

/// The time of tokio's clock, which tests move.
#[derive(Debug)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(START_MS).plus(self.0.elapsed())
    }
}

/// The store of a cluster: a millisecond away, and sometimes not there.
#[derive(Debug)]
struct SharedStore {
    quotas: Quotas,
    clock: Arc<dyn Clock>,
    is_down: AtomicBool,
    takes: AtomicU64,
}

#[async_trait]
impl QuotaSource for Arc<SharedStore> {
    async fn take(&self, key: &str, spec: QuotaSpec, wanted: u64) -> Result<QuotaGrant, StoreError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable {
                detail: "it is down".to_owned(),
                maybe_done: false,
            });
        }
        self.takes.fetch_add(1, Ordering::SeqCst);
        self.quotas.take(key.to_owned(), spec, wanted, self.clock.now())
    }
}

/// Servers with one limit.
struct Cluster {
    store: Arc<SharedStore>,
    servers: Vec<Arc<Limiter>>,
}

impl Cluster {
    fn new(servers: usize, rule: &Value) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock(Instant::now()));
        let store = Arc::new(SharedStore {
            quotas: Quotas::new(1000),
            clock: Arc::clone(&clock),
            is_down: AtomicBool::new(false),
            takes: AtomicU64::new(0),
        });
        let config: RateLimitConfig = serde_json::from_value(json!({ "rules": [rule] })).unwrap();
        assert_eq!(config.check(), []);
        let server = || {
            let meters = Meters::with_source(Box::new(Arc::clone(&store)), Arc::clone(&clock));
            meters.set_servers(servers as u64);
            let limits = Limits::new([("l".to_owned(), config.clone())].into(), Arc::new(meters));
            limits.limiter("l", "owner")
        };
        Self {
            servers: (0..servers).map(|_| server()).collect(),
            store,
        }
    }

    /// Sends requests at once, so many to each server; how many are let through.
    async fn send(&self, counts: &[u32]) -> u64 {
        let requests = self.servers.iter().zip(counts).flat_map(|(server, count)| {
            (0..*count)
                .map(move |_| async move { u64::from(matches!(server.check(None, None).await, Verdict::Within(_))) })
        });
        join_all(requests).await.into_iter().sum()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn ratio(count: u64, of: u64) -> f64 {
    count as f64 / of as f64
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// However requests are spread over servers, and whichever of them cease to get any, the limit is met within 5 %.
    #[test]
    fn a_window_is_shared_within_five_hundredths(
        limit in 100_u64..3000,
        shares in prop::collection::vec(0_u32..12, 1..6),
        later in prop::collection::vec(0_u32..12, 6),
    ) {
        let granted = runtime().block_on(async {
            let cluster = Cluster::new(shares.len(), &json!({ "limit": limit, "unit": "hour" }));
            let (mut granted, mut sent) = (0, 0);
            let mut shares = shares.clone();
            shares[0] = shares[0].max(1);
            while sent < limit * 2 {
                if sent > limit / 2 {
                    // The traffic goes elsewhere.
                    shares = later[..shares.len()].to_vec();
                    shares[0] = shares[0].max(1);
                }
                granted += cluster.send(&shares).await;
                sent += u64::from(shares.iter().sum::<u32>());
                tokio::time::advance(Duration::from_millis(3)).await;
            }
            granted
        });
        prop_assert!(granted <= limit, "{granted} of {limit}");
        prop_assert!(granted * 100 >= limit * 95, "{granted} of {limit}");
    }

    #[test]
    fn a_bucket_is_shared_within_five_hundredths(rate in 100_u64..2000, servers in 1_usize..5, skew in 0_u32..4) {
        let granted = runtime().block_on(async {
            let cluster = Cluster::new(servers, &json!({ "rate": rate, "burst": rate / 10 }));
            // Twice as many requests as are allowed, in steps of 10 ms, for ten seconds.
            let each = u32::try_from(rate * 2 / 100 / servers as u64 + 1).unwrap();
            let mut counts = vec![each; servers];
            counts[0] += skew;
            let started = Instant::now();
            let mut granted = 0;
            while started.elapsed() < Duration::from_secs(10) {
                granted += cluster.send(&counts).await;
                tokio::time::advance(Duration::from_millis(9)).await;
            }
            ratio(granted, rate * 10 + rate / 10)
        });
        prop_assert!((0.95..=1.05).contains(&granted), "{granted}");
    }
}

#[test]
fn most_requests_do_not_wait_for_the_store() {
    runtime().block_on(async {
        let cluster = Cluster::new(2, &json!({ "limit": 100_000, "unit": "minute" }));
        let mut granted = 0;
        for _ in 0..500 {
            granted += cluster.send(&[10, 10]).await;
            tokio::time::advance(Duration::from_millis(2)).await;
        }
        assert_eq!(granted, 10_000);
        let takes = cluster.store.takes.load(Ordering::SeqCst);
        assert!(takes < 500, "{takes} takes for 10,000 requests");
    });
}

#[test]
fn servers_go_by_their_part_while_the_store_is_down() {
    runtime().block_on(async {
        let cluster = Cluster::new(2, &json!({ "limit": 200, "unit": "hour" }));
        cluster.store.is_down.store(true, Ordering::SeqCst);
        assert_eq!(cluster.send(&[300, 0]).await, 100);
        assert_eq!(cluster.send(&[0, 300]).await, 100);
        cluster.store.is_down.store(false, Ordering::SeqCst);
        // The next hour, with the store again.
        tokio::time::advance(Duration::from_hours(1)).await;
        let granted = cluster.send(&[300, 0]).await;
        assert!((190..=200).contains(&granted), "{granted}");
    });
}

#[test]
fn the_next_window_is_whole_again_and_a_few_tokens_go_to_everybody() {
    runtime().block_on(async {
        let cluster = Cluster::new(3, &json!({ "limit": 6, "unit": "minute" }));
        assert_eq!(cluster.send(&[2, 2, 2]).await, 6);
        assert_eq!(cluster.send(&[1, 1, 1]).await, 0);
        let Verdict::Over(levels, retry_after) = cluster.servers[0].check(None, None).await else {
            panic!("the limit is reached");
        };
        assert_eq!(levels[0].remaining, 0);
        assert!(
            retry_after > Duration::from_secs(50) && retry_after <= Duration::from_mins(1),
            "{retry_after:?}"
        );
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(cluster.send(&[1, 1, 1]).await, 3);
    });
}

#[test]
fn a_request_that_is_given_up_holds_up_nobody() {
    runtime().block_on(async {
        let cluster = Cluster::new(1, &json!({ "limit": 10, "unit": "hour" }));
        tokio::select! {
            biased;
            _ = cluster.servers[0].check(None, None) => panic!("the store answers later"),
            () = tokio::task::yield_now() => {}
        }
        assert_eq!(cluster.send(&[1]).await, 1);
    });
}

#[test]
fn a_rule_counts_for_all_for_addresses_or_for_callers() {
    runtime().block_on(async {
        let address = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let caller = |name: &str, username: &str| CallerIdentity {
            name: name.to_owned(),
            username: username.to_owned(),
            ..CallerIdentity::default()
        };
        let within = async |limiter: &Limiter, address, caller: Option<&CallerIdentity>| {
            matches!(limiter.check(address, caller).await, Verdict::Within(_))
        };
        let by_address = Cluster::new(1, &json!({ "limit": 1, "unit": "hour", "per": "address" }));
        let limiter = &by_address.servers[0];
        assert!(within(limiter, address("192.0.2.1"), None).await);
        assert!(!within(limiter, address("192.0.2.1"), None).await);
        assert!(within(limiter, address("192.0.2.2"), None).await);
        assert!(within(limiter, address("2001:db8::1"), None).await);
        assert!(
            !within(limiter, address("2001:db8::2"), None).await,
            "one network of 64 bits is one client"
        );
        let by_caller = Cluster::new(1, &json!({ "limit": 1, "unit": "hour", "per": "caller" }));
        let limiter = &by_caller.servers[0];
        assert!(limiter.needs_caller());
        assert!(within(limiter, None, Some(&caller("jwt", "ann"))).await);
        assert!(!within(limiter, None, Some(&caller("jwt", "ann"))).await);
        assert!(within(limiter, None, Some(&caller("jwt", "bob"))).await);
        // A bucket and a window: what the window refuses is not taken from the bucket.
        let both = Cluster::new(1, &json!({ "rate": 0.001, "burst": 2, "limit": 1, "unit": "second" }));
        let limiter = &both.servers[0];
        assert!(within(limiter, None, None).await);
        assert!(!within(limiter, None, None).await);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(within(limiter, None, None).await);
    });
}

fn rule_at(rules: &Rules, address: &str, instant: &str) -> Option<usize> {
    let address = address.parse().ok();
    rules.find(address, instant.parse().unwrap()).map(|(index, _)| index)
}

#[test]
fn the_first_rule_that_fits_decides() {
    let config: RateLimitConfig = serde_json::from_value(json!({
        "time_zone": "Europe/Malta",
        "rules": [
            { "addresses": ["10.1.0.0/16"], "deny": true },
            { "addresses": ["10.0.0.0/8", "2001:db8::/32"], "rate": 5 },
            { "times": [{ "from": "22:00", "to": "06:00", "days": ["fri"] }], "limit": 7 },
            { "times": [{ "from": "09:00", "to": "17:00" }, { "from": "17:00", "to": "24:00" }], "rate": 9 },
        ],
    }))
    .unwrap();
    assert_eq!(config.check(), []);
    let rules = Rules::new(&config);
    // Malta is an hour ahead of UTC in winter. 2027-01-15 is a Friday.
    for (address, instant, expected) in [
        ("10.1.2.3", "2027-01-15T12:00:00Z", Some(0)),
        ("10.2.2.3", "2027-01-15T12:00:00Z", Some(1)),
        ("2001:db8::5", "2027-01-15T12:00:00Z", Some(1)),
        ("192.0.2.1", "2027-01-15T12:00:00Z", Some(3)),
        ("192.0.2.1", "2027-01-15T07:59:00Z", None),
        ("192.0.2.1", "2027-01-15T08:00:00Z", Some(3)),
        ("192.0.2.1", "2027-01-15T20:59:00Z", Some(3)),
        ("192.0.2.1", "2027-01-15T21:00:00Z", Some(2)),
        ("192.0.2.1", "2027-01-16T04:59:00Z", Some(2)),
        ("192.0.2.1", "2027-01-16T05:00:00Z", None),
        ("192.0.2.1", "2027-01-16T21:00:00Z", Some(3)),
        ("192.0.2.1", "2027-01-16T23:30:00Z", None),
        ("", "2027-01-15T12:00:00Z", Some(3)),
    ] {
        assert_eq!(rule_at(&rules, address, instant), expected, "{address} {instant}");
    }
    let clock = ManualClock::new("2027-01-15T12:00:00Z".parse().unwrap());
    assert!(
        Rules::closed()
            .find(None, clock.now())
            .is_some_and(|(_, rule)| rule.deny)
    );
}

#[test]
fn definitions_that_make_no_sense_are_refused() {
    for (rule, field) in [
        (json!({ "addresses": ["10.0.0.0/40"] }), "rules[0].addresses[0]"),
        (
            json!({ "times": [{ "from": "25:00", "to": "06:00" }] }),
            "rules[0].times[0].from",
        ),
        (
            json!({ "times": [{ "from": "05:00", "to": "24:01" }] }),
            "rules[0].times[0].to",
        ),
        (json!({ "deny": true, "rate": 1 }), "rules[0].deny"),
        (json!({ "rate": 0 }), "rules[0].rate"),
        (json!({ "rate": -1 }), "rules[0].rate"),
        (json!({ "burst": 1 }), "rules[0].burst"),
        (json!({ "rate": 1, "burst": 0 }), "rules[0].burst"),
        (json!({ "limit": 0 }), "rules[0].limit"),
    ] {
        let config: RateLimitConfig = serde_json::from_value(json!({ "rules": [rule] })).unwrap();
        assert_eq!(config.check()[0].field, field, "{rule}");
    }
    let config: RateLimitConfig = serde_json::from_value(json!({ "rules": [], "time_zone": "Nowhere" })).unwrap();
    assert_eq!(config.check().len(), 2);
}
