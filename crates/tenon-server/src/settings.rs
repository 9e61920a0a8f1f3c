//! What a server needs to start, and its limits.

use serde::{Deserialize, Serialize};
use tenon_model::{DurationText, Network};

/// Limits of the data plane.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSettings {
    /// How many connections are served at a time; others wait to be accepted.
    pub connections_max: usize,
    /// How long the head of a request may take to come, also the time that an idle connection is kept.
    pub head_timeout: DurationText,
    /// How many headers a request may have.
    pub headers_max: usize,
    /// How large the head of a request may be, in bytes; at least 8,192.
    pub head_bytes_max: usize,
    /// How long a server that stops still takes connections, so that load balancers learn of it first.
    pub drain_delay: DurationText,
    /// How long a server that stops leaves it to the other side to close connections that are not used. Longer than the
    /// interval in which load balancers look how the server is.
    pub drain_idle_timeout: DurationText,
    /// Addresses and networks (`10.0.0.0/8`) of proxies that reach the server's TCP address and are believed like its own load
    /// balancer: `X-Forwarded-For` and `X-Tenon-Client-Cert-*`.
    pub trusted: Vec<Network>,
    /// How long requests that run may go on when the server stops.
    pub drain_timeout: DurationText,
}

impl Default for DataSettings {
    fn default() -> Self {
        Self {
            connections_max: 16_384,
            head_timeout: DurationText::from_secs(90),
            headers_max: 128,
            head_bytes_max: 65_536,
            trusted: Vec::new(),
            drain_delay: DurationText::from_millis(300),
            drain_idle_timeout: DurationText::from_millis(1500),
            drain_timeout: DurationText::from_secs(20),
        }
    }
}

/// Limits of calls between services, and of jobs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InvokeSettings {
    /// How many services may invoke each other in a row.
    pub depth_max: u32,
    /// How long a service may take that is called from the control API or by another service, if the caller says nothing.
    pub timeout: DurationText,
    /// How many runs of jobs the server executes at a time.
    pub runs_max: u32,
    /// How long a claimed run stays this server's without a renewal.
    pub run_lease: DurationText,
    /// How long a session of the dashboard lasts.
    pub session_lifetime: DurationText,
}

impl Default for InvokeSettings {
    fn default() -> Self {
        Self {
            depth_max: 32,
            timeout: DurationText::from_secs(60),
            runs_max: 64,
            run_lease: DurationText::from_secs(15),
            session_lifetime: DurationText::from_secs(12 * 3600),
        }
    }
}
