//! What is asked for, how fast and for how long.

use std::time::Duration;

use super::kind::Via;

/// What a generator does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The load balancer's port for HTTP on the loopback address.
    pub http_port: u16,
    /// Its port for HTTPS; without it, nothing goes over TLS.
    pub https_port: Option<u16>,
    /// Whether it speaks HTTP/2 there.
    pub has_h2: bool,
    /// The path of the service.
    pub path: String,
    /// Requests per second that are sent whether or not earlier ones are answered.
    pub rate: u32,
    /// Clients of each method that wait for each answer.
    pub steady: u32,
    /// Clients that are slow, and wait for each answer.
    pub slow: SlowClients,
    /// Requests at once at most; more wait, and their time counts from when they were due.
    pub in_flight_max: usize,
    /// Requests at most.
    pub requests_max: u64,
    /// How long a client waits for an answer.
    pub patience: Duration,
    /// How long a client repeats what it may repeat.
    pub repeat_for: Duration,
    /// What chance depends on.
    pub seed: u64,
}

/// How many clients are slow with what.
#[derive(Debug, Clone, Copy)]
pub struct SlowClients {
    /// With the head.
    pub heads: u32,
    /// With the body.
    pub bodies: u32,
    /// With reading the answer.
    pub readers: u32,
}

impl Plan {
    /// What chaos runs: at this rate on this port, bounded in time by whoever stops it.
    pub fn new(http_port: u16, path: &str, rate: u32, seed: u64) -> Self {
        Self {
            http_port,
            https_port: None,
            has_h2: false,
            path: path.to_owned(),
            rate,
            steady: 1,
            slow: SlowClients {
                heads: 2,
                bodies: 2,
                readers: 2,
            },
            in_flight_max: 2_000,
            requests_max: 5_000_000,
            patience: Duration::from_mins(1),
            repeat_for: Duration::from_secs(30),
            seed,
        }
    }

    /// Over what requests go.
    pub(super) fn ways(&self) -> &'static [Via] {
        match (self.https_port, self.has_h2) {
            (None, _) => &[Via::Http],
            (Some(_), false) => &[Via::Http, Via::Https],
            (Some(_), true) => &[Via::Http, Via::Https, Via::H2],
        }
    }
}
