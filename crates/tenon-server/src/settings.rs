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
    /// How many headers a request may have. More than 100 cost each request memory of its own.
    pub headers_max: usize,
    /// How large the head of a request may be, in bytes; at least 8,192.
    pub head_bytes_max: usize,
    /// How deep elements of a JSON or XML body may be nested, at most 500.
    pub nesting_max: usize,
    /// From which size on answers are compressed, in bytes.
    pub compressed_bytes_min: usize,
    /// How much memory answers may take that channels keep, in bytes.
    pub cached_bytes_max: usize,
    /// The largest body of an answer that is kept for an idempotency key, in bytes.
    pub idempotent_answer_bytes_max: usize,
    /// How many pieces of a body that is streamed wait for a service that is slower than the caller.
    pub stream_pieces_max: usize,
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
            headers_max: 100,
            head_bytes_max: 65_536,
            nesting_max: 100,
            compressed_bytes_min: 1024,
            cached_bytes_max: 64 * 1024 * 1024,
            idempotent_answer_bytes_max: 1024 * 1024,
            stream_pieces_max: 4,
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
    /// How large an answer may be that a service streams to somebody who can't take it in pieces: another service, a job, the
    /// control API.
    pub gathered_bytes_max: usize,
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
            gathered_bytes_max: 64 << 20,
            runs_max: 64,
            run_lease: DurationText::from_secs(15),
            session_lifetime: DurationText::from_secs(12 * 3600),
        }
    }
}

/// Limits of background calls: what services ask for without waiting.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackgroundSettings {
    /// How many background calls the server makes at a time; the others wait in the store for any server.
    pub calls_max: usize,
    /// How long a call may take if who asked for it said nothing.
    pub timeout: DurationText,
    /// How long a call stays this server's without a renewal.
    pub lease: DurationText,
    /// How long calls that run may go on when the server stops, before they are left to other servers.
    pub drain_timeout: DurationText,
    /// How often a call is made again that found no worker, before it counts as failed.
    pub not_begun_max: u32,
    /// How often a call is made again because its worker died.
    pub worker_deaths_max: u32,
    /// How many servers may die while they make a call, before it counts as failed.
    pub lost_attempts_max: u32,
}

impl Default for BackgroundSettings {
    fn default() -> Self {
        Self {
            calls_max: 64,
            timeout: DurationText::from_secs(3600),
            lease: DurationText::from_secs(15),
            drain_timeout: DurationText::from_secs(10),
            not_begun_max: 100,
            worker_deaths_max: 3,
            lost_attempts_max: 10,
        }
    }
}

/// Limits of what services ask of the platform.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostSettings {
    /// How long a lock can be held without a renewal at most.
    pub lock_ttl_max: DurationText,
    /// How many hashes of secrets are made or checked at a time; more wait.
    pub hashes_max: usize,
    /// How many series the metrics of all services have together; what would be more is counted and left out.
    pub metric_series_max: usize,
    /// How large one file of user configuration may be, in bytes.
    pub config_file_max_bytes: u64,
    /// How many files of user configuration there may be.
    pub config_files_max: usize,
    /// How often the folder of user configuration is read although nothing told that it changed.
    pub config_look_every: DurationText,
}

impl Default for HostSettings {
    fn default() -> Self {
        Self {
            lock_ttl_max: DurationText::from_secs(86_400),
            hashes_max: 2,
            metric_series_max: 5_000,
            config_file_max_bytes: 1024 * 1024,
            config_files_max: 500,
            config_look_every: DurationText::from_secs(10),
        }
    }
}
