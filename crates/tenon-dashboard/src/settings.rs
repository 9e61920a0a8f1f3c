//! Limits and behaviour of the dashboard.

use serde::{Deserialize, Serialize};
use tenon_model::DurationText;

/// Settings of the dashboard.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether browsers reach the dashboard through TLS, which a proxy in front of it ends. Cookies are then marked `Secure`
    /// and browsers are told to use nothing else.
    pub behind_tls: bool,
    /// How many connections are served at a time; more wait.
    pub connections_max: usize,
    /// The largest head of a request, in bytes.
    pub head_bytes_max: usize,
    /// How long the head of a request may take to arrive.
    pub head_timeout: DurationText,
    /// The largest body of an API call, in bytes. Deployments are the largest.
    pub body_bytes_max: usize,
    /// How long a request may take as a whole, its body and the server's answer included.
    pub request_timeout: DurationText,
    /// After how long without an answer a reading call is also sent to the next server.
    pub hedge_after: DurationText,
    /// How many logins may fail from one address within `login_window`.
    pub login_failures_max: u32,
    /// The time after which failed logins are forgotten.
    pub login_window: DurationText,
    /// Of how many addresses failed logins are remembered; beyond that the oldest is forgotten.
    pub login_addresses_max: usize,
    /// How many logins are checked at a time: each costs a server a password hash.
    pub logins_max: usize,
    /// How long a connection between two requests is still kept when the dashboard stops, so that its browser can be told.
    pub drain_idle_timeout: DurationText,
    /// How long calls that run may take to finish when the dashboard stops.
    pub drain_timeout: DurationText,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            behind_tls: false,
            connections_max: 512,
            head_bytes_max: 64 << 10,
            head_timeout: DurationText::from_secs(10),
            body_bytes_max: 64 << 20,
            request_timeout: DurationText::from_secs(65),
            hedge_after: DurationText::from_millis(700),
            login_failures_max: 10,
            login_window: DurationText::from_secs(60),
            login_addresses_max: 10_000,
            logins_max: 4,
            drain_idle_timeout: DurationText::from_millis(1500),
            drain_timeout: DurationText::from_secs(5),
        }
    }
}
