//! What happens before a server is touched: who may connect, what is let in, and what waits.
//!
//! A connection comes: [`Shaping::meet`] looks at its address before anything is read from it (and before TLS), and
//! [`Shaping::receive`] takes a PROXY header where one may come. A request's head was read: [`Shaping::admit`] judges it by
//! the rules and limits in force; while nothing is configured that costs one look at [`Shaping::is_idle`]. What is configured is
//! swapped as a whole by [`Shaping::apply`], and takes effect with the next connection or request.
//!
//! To add a limit that all requests have, add it to `Limits`; one that requests wait for is a `rules::Gate`.

mod admission;
mod arrivals;
mod https;
mod limits;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use tenon_model::{InvalidNetwork, Network};
use tokio::net::TcpStream;

pub(crate) use admission::{Asker, Rejection};
pub(crate) use arrivals::Arrival;
pub(crate) use limits::Limits;

use arrivals::Arrivals;
use https::Https;

use crate::kinds::{BalancerConfig, ProxyProtocol, RuleConfig};
use crate::proxy_protocol;
use crate::rules::{Gate, GateLimits, Networks, RuleReport, RuleSet, Unusable};
use crate::settings::Settings;

/// Why a connection or a request got no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Its address is not let in.
    Address,
    /// Its address has too many connections.
    ConnectionsPerAddress,
    /// The PROXY header is missing, malformed or late.
    ProxyHeader,
    /// A rule denies it.
    Denied,
    /// It is over a rate limit.
    RateLimit,
    /// It waited for its turn too long, or too many did already, because of a rule.
    Concurrency,
    /// The same, because of the limit of all requests.
    InFlight,
    /// A rule sends it elsewhere.
    Redirected,
}

impl Reason {
    /// All of them, as metrics name them.
    pub(crate) const ALL: [(Self, &'static str); 8] = [
        (Self::Address, "address"),
        (Self::ConnectionsPerAddress, "connections-per-address"),
        (Self::ProxyHeader, "proxy-header"),
        (Self::Denied, "denied"),
        (Self::RateLimit, "rate-limit"),
        (Self::Concurrency, "concurrency"),
        (Self::InFlight, "in-flight"),
        (Self::Redirected, "redirected"),
    ];
}

/// Requests are looked at because of what was configured.
const BY_POLICY: u8 = 1;

/// Requests are looked at because an authority may ask for a proof.
const BY_CHALLENGES: u8 = 2;

/// What is in force, and what it has counted.
#[derive(Debug)]
pub(crate) struct Shaping {
    /// Limits that every connection and request has.
    pub(crate) limits: Limits,
    /// Why requests need to be looked at: nothing, or some of [`BY_POLICY`] and [`BY_CHALLENGES`].
    reasons: AtomicU8,
    policy: ArcSwap<Policy>,
    arrivals: Arc<Arrivals>,
    in_flight: Arc<Gate>,
    rejected: [AtomicU64; Reason::ALL.len()],
    /// Requests whose denial is being delayed now.
    delayed: AtomicUsize,
    delayed_max: usize,
    keys_max: usize,
    proxy_timeout: std::time::Duration,
    trusted_by_settings: Vec<Network>,
    /// Where HTTPS is listened on.
    https_port: Option<u16>,
}

/// What was configured.
#[derive(Debug, Default)]
struct Policy {
    rules: RuleSet,
    /// Who is let in; empty for everybody.
    allow: Networks,
    deny: Networks,
    trusted: Arc<[Network]>,
    trusted_set: Networks,
    proxy_protocol: ProxyProtocol,
    has_in_flight_max: bool,
    /// In which header, in lower case, clients and servers get the request's id.
    request_id_header: Option<String>,
    https: Https,
}

/// A connection that may go on.
#[derive(Debug)]
pub(crate) struct Met {
    /// Keeps the count of connections of its address; none for a trusted proxy, which has those of many.
    arrival: Option<Arrival>,
    /// Whether a PROXY header may come, or must.
    proxy_header: Option<bool>,
}

/// Whose connection it is.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) client: SocketAddr,
    /// Kept as long as the connection.
    pub(crate) arrival: Option<Arrival>,
    /// Whose word on clients is believed.
    pub(crate) trusted: Arc<[Network]>,
}

impl Shaping {
    /// Nothing but the settings in force. `https_port` is where HTTPS is listened on, if it is.
    pub(crate) fn new(settings: &Settings, https_port: Option<u16>) -> Result<Self, InvalidNetwork> {
        let trusted_by_settings = Network::parse_all(&settings.trusted)?;
        let shaping = Self {
            limits: Limits::new(settings),
            reasons: AtomicU8::new(0),
            policy: ArcSwap::default(),
            arrivals: Arc::default(),
            in_flight: Arc::new(Gate::new(no_limits())),
            rejected: std::array::from_fn(|_| AtomicU64::new(0)),
            delayed: AtomicUsize::new(0),
            delayed_max: settings.delayed_max,
            keys_max: settings.rate_limit_keys_max,
            proxy_timeout: settings.proxy_header_timeout.0,
            trusted_by_settings,
            https_port,
        };
        shaping.apply(settings, &BalancerConfig::default(), &[], Instant::now());
        Ok(shaping)
    }

    /// Puts into force what was configured; gives the rules that can't be used in their newest form. Texts that are no networks
    /// were refused before and are left out.
    pub(crate) fn apply(
        &self,
        settings: &Settings,
        balancer: &BalancerConfig,
        rules: &[(String, RuleConfig)],
        now: Instant,
    ) -> Vec<Unusable> {
        let networks =
            |texts: &[String]| -> Vec<Network> { texts.iter().filter_map(|text| text.parse().ok()).collect() };
        let before = self.policy.load();
        let (rules, unusable) = RuleSet::compile(rules, &before.rules, self.keys_max, now);
        let mut trusted = self.trusted_by_settings.clone();
        trusted.extend(networks(&balancer.trusted));
        let policy = Policy {
            rules,
            allow: Networks::new(&networks(&balancer.allow)),
            deny: Networks::new(&networks(&balancer.deny)),
            trusted_set: Networks::new(&trusted),
            trusted: trusted.into(),
            proxy_protocol: balancer.proxy_protocol,
            has_in_flight_max: balancer.in_flight_max.is_some(),
            request_id_header: balancer
                .request_id_header
                .as_ref()
                .map(|name| name.to_ascii_lowercase()),
            https: Https::new(balancer, self.https_port),
        };
        self.in_flight.set_limits(match balancer.in_flight_max {
            Some(max) => GateLimits {
                max: usize::try_from(max).unwrap_or(usize::MAX),
                queue_max: usize::try_from(balancer.queue_max).unwrap_or(usize::MAX),
                queue_timeout: balancer.queue_timeout.0,
            },
            None => no_limits(),
        });
        self.limits.apply(settings, balancer);
        let is_active = policy.looks_at_requests();
        self.policy.store(Arc::new(policy));
        self.look(BY_POLICY, is_active);
        unusable
    }

    /// Whether requests need no look.
    pub(crate) fn is_idle(&self) -> bool {
        self.reasons.load(Ordering::Relaxed) == 0
    }

    /// Has requests looked at, or no more, because one of them may be an authority that asks for a proof.
    pub(crate) fn expect_challenges(&self, are_expected: bool) {
        self.look(BY_CHALLENGES, are_expected);
    }

    fn look(&self, reason: u8, holds: bool) {
        if holds {
            self.reasons.fetch_or(reason, Ordering::Release);
        } else {
            self.reasons.fetch_and(!reason, Ordering::Release);
        }
    }

    /// Looks at the address of a new connection.
    pub(crate) fn meet(&self, address: SocketAddr) -> Result<Met, Reason> {
        let policy = self.policy.load();
        let is_trusted = policy.trusted_set.contains(address.ip());
        let proxy_header = match policy.proxy_protocol {
            ProxyProtocol::OptionalFromTrusted if is_trusted => Some(false),
            ProxyProtocol::Off | ProxyProtocol::OptionalFromTrusted => None,
            ProxyProtocol::RequiredFromTrusted if is_trusted => Some(true),
            ProxyProtocol::RequiredFromTrusted => return Err(self.reject(Reason::ProxyHeader)),
        };
        let arrival = if is_trusted {
            None
        } else {
            Some(self.arrive(&policy, address.ip())?)
        };
        Ok(Met { arrival, proxy_header })
    }

    /// Takes the PROXY header, if there is one, and says whose connection it is then.
    pub(crate) async fn receive(
        &self,
        met: Met,
        stream: &mut TcpStream,
        address: SocketAddr,
    ) -> Result<Received, Reason> {
        let trusted = Arc::clone(&self.policy.load().trusted);
        let mut received = Received {
            client: address,
            arrival: met.arrival,
            trusted,
        };
        let Some(required) = met.proxy_header else {
            return Ok(received);
        };
        // A box of its own: few connections need the room.
        let header = Box::pin(proxy_protocol::receive(stream, required, self.proxy_timeout)).await;
        let header = header.map_err(|error| {
            tracing::debug!(peer = %address, %error, "a connection without a good PROXY header was closed");
            self.reject(Reason::ProxyHeader)
        })?;
        if let Some(client) = header.and_then(|header| header.client) {
            received.client = client;
            let policy = self.policy.load_full();
            if !policy.trusted_set.contains(client.ip()) {
                received.arrival = Some(self.arrive(&policy, client.ip())?);
            }
        }
        Ok(received)
    }

    fn arrive(&self, policy: &Policy, client: IpAddr) -> Result<Arrival, Reason> {
        if !policy.lets_in(client) {
            return Err(self.reject(Reason::Address));
        }
        let max = self.limits.connections_per_address_max();
        let arrival = self.arrivals.enter(client, max);
        arrival.ok_or_else(|| self.reject(Reason::ConnectionsPerAddress))
    }

    /// Counts something that got no further.
    fn reject(&self, reason: Reason) -> Reason {
        self.rejected[reason as usize].fetch_add(1, Ordering::Relaxed);
        reason
    }

    /// How much got no further, for each reason.
    pub(crate) fn rejected(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Reason::ALL
            .iter()
            .map(|(reason, name)| (*name, self.rejected[*reason as usize].load(Ordering::Relaxed)))
    }

    /// Requests that wait for their turn now, at servers not counted.
    pub(crate) fn waiting(&self) -> usize {
        let rules = self.policy.load().rules.report();
        self.in_flight.waiting() + rules.iter().map(|rule| rule.queued).sum::<usize>()
    }

    /// What each rule did, in the order in which they are looked at.
    pub(crate) fn rules(&self) -> Vec<RuleReport> {
        self.policy.load().rules.report()
    }
}

impl Policy {
    fn lets_in(&self, address: IpAddr) -> bool {
        (self.allow.is_empty() || self.allow.contains(address)) && !self.deny.contains(address)
    }

    fn has_networks(&self) -> bool {
        !self.allow.is_empty() || !self.deny.is_empty()
    }

    fn looks_at_requests(&self) -> bool {
        // Clients behind a trusted proxy show only in their requests.
        !self.rules.is_empty()
            || self.has_in_flight_max
            || self.request_id_header.is_some()
            || self.https.is_configured()
            || (self.has_networks() && !self.trusted_set.is_empty())
    }
}

fn no_limits() -> GateLimits {
    GateLimits {
        max: usize::MAX,
        queue_max: 0,
        queue_timeout: std::time::Duration::ZERO,
    }
}
