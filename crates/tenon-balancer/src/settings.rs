//! What the load balancer's operator can set: threads, limits, times.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tenon_model::DurationText;

/// Settings of the load balancer. Every limit has a default that is safe for a public address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "switches that don't depend on each other")]
pub struct Settings {
    /// Threads that carry requests, each with a runtime and a pool of server connections of its own; 0 for one per core.
    pub threads: usize,
    /// Open client connections at most; above nine tenths of it, answers ask clients to close.
    pub connections_max: usize,
    /// Bytes of a request head at most.
    pub head_bytes_max: usize,
    /// Bytes of a request line at most.
    pub request_line_bytes_max: usize,
    /// Header fields of a request at most; never more than 128. A server takes 100, those that are added here included.
    pub headers_max: usize,
    /// Bytes of a request body at most. Channels have smaller limits of their own; those that stream may have none.
    pub body_bytes_max: u64,
    /// A request body of at most this many bytes is read whole before a server sees it, so that it can be sent again.
    pub replay_bytes_max: usize,
    /// Bytes of the buffer that relays bodies; also the limit of a response head.
    pub relay_buffer_bytes: usize,
    /// How long a TLS handshake may take.
    pub tls_handshake_timeout: DurationText,
    /// How often the files of certificates are looked at.
    pub certificate_check_interval: DurationText,
    /// PEM file with the CAs by which authorities that issue certificates are trusted, where an object names none.
    pub acme_ca_file: PathBuf,
    /// How long one request to such an authority may take.
    pub acme_request_timeout: DurationText,
    /// How long ordering one certificate may take, the authority's proof that the hosts are ours included.
    pub acme_order_timeout: DurationText,
    /// How long after an order that failed the next one follows; twice as long after each further one.
    pub acme_retry_min: DurationText,
    /// How long that may become at most, and for how long at most an authority may ask (`Retry-After`).
    pub acme_retry_max: DurationText,
    /// How long after an order that succeeded the same certificate is ordered anew at the earliest.
    pub acme_order_pause: DurationText,
    /// Whether HTTP/2 is offered to clients that speak TLS.
    pub http2: bool,
    /// Whether a client may speak HTTP/2 without TLS, by beginning with it.
    pub http2_cleartext: bool,
    /// Streams of one connection that may be open at once.
    pub http2_streams_max: u32,
    /// Bytes of one request body that a client may send ahead.
    pub http2_stream_window_bytes: u32,
    /// Bytes of all request bodies of a connection that a client may send ahead.
    pub http2_connection_window_bytes: u32,
    /// Bytes of one answer that may wait to be written.
    pub http2_send_buffer_bytes: u32,
    /// Streams that the client of a connection may reset, or make the load balancer reset, beyond one for each that is answered.
    pub http2_resets_max: usize,
    /// How often a client with open streams is asked whether it is still there.
    pub http2_ping_interval: DurationText,
    /// How long it may take to answer that.
    pub http2_ping_timeout: DurationText,
    /// From the first byte of a head to its last; also from connecting to the first byte.
    pub head_timeout: DurationText,
    /// How long a connection between two requests is kept.
    pub idle_timeout: DurationText,
    /// How long a client may be slow with a body before its rate counts.
    pub body_grace: DurationText,
    /// Bytes per second below which a client that sends a body is cut off.
    pub body_rate_min_bytes: u64,
    /// How long a client may make no progress in the middle of a request body or of an answer.
    pub client_stall_timeout: DurationText,
    /// How long connecting to a server may take.
    pub connect_timeout: DurationText,
    /// How long a server may take from the end of the request to the head of its answer.
    pub response_head_timeout: DurationText,
    /// How long a server may pause in the middle of an answer's body.
    pub response_idle_timeout: DurationText,
    /// How long an upgraded connection may be silent in both directions.
    pub tunnel_idle_timeout: DurationText,
    /// How long an unused connection to a server is kept; less than the server keeps it.
    pub server_idle_timeout: DurationText,
    /// Unused connections to one server that one thread keeps at most.
    pub server_idle_max: usize,
    /// How often one request is tried again at most.
    pub retries_max: u32,
    /// Requests sent again, as a part of all requests in percent, beyond the burst.
    pub retry_budget_percent: u32,
    /// Requests that each thread may send again at once, whatever the traffic.
    pub retry_budget_burst: u32,
    /// How long a request waits for a server if none can take it.
    pub wait_timeout: DurationText,
    /// Requests that wait for a server at most, in each thread.
    pub waiting_max: usize,
    /// Addresses, header values, paths or hosts that one rate limit of a rule knows about at a time; those not seen lately are forgotten.
    pub rate_limit_keys_max: usize,
    /// Requests whose refusal is delayed by a rule at the same time; more are refused at once.
    pub delayed_max: usize,
    /// How long a PROXY header may take where one may come.
    pub proxy_header_timeout: DurationText,
    /// How often each server's readiness is asked for.
    pub health_interval: DurationText,
    /// How long a server may take to answer that.
    pub health_timeout: DurationText,
    /// Unanswered checks in a row after which a server counts as dead; from the first on it gets new requests only if no other can.
    pub health_fall: u32,
    /// In which time a server that was away gets its whole part of the requests again, step by step; 0s for at once.
    pub slow_start: DurationText,
    /// How long asking the cluster for its members may take, waiting for a change included.
    pub follow_timeout: DurationText,
    /// Once told to stop: how long `/tenon/live` already answers 503 while everything is still served, so that a load balancer
    /// in front looks elsewhere first. Longer than the interval in which that one looks; not needed without one.
    pub drain_delay: DurationText,
    /// Once stopping: how long a connection between two requests is still kept, so that its client can be told.
    pub drain_idle_timeout: DurationText,
    /// Once stopping: how long requests may go on.
    pub drain_timeout: DurationText,
    /// Addresses and networks (`10.0.0.0/8`) whose `X-Forwarded-*`, `Forwarded`, `X-Tenon-Cid` and `X-Tenon-Client-Cert-*` are believed.
    pub trusted: Vec<String>,
    /// Whether a request without a trace context (`traceparent`) gets one; those that come are passed on in any case.
    pub trace_create: bool,
    /// Whether each request is logged, under the target `access`.
    pub access_log: bool,
    /// Log lines that may wait to be written; more are dropped and counted.
    pub access_log_queue_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            threads: 0,
            connections_max: 20_000,
            head_bytes_max: 32 * 1024,
            request_line_bytes_max: 8 * 1024,
            headers_max: 90,
            body_bytes_max: 16 * 1024 * 1024 * 1024,
            replay_bytes_max: 64 * 1024,
            relay_buffer_bytes: 32 * 1024,
            tls_handshake_timeout: DurationText::from_secs(5),
            certificate_check_interval: DurationText::from_secs(3),
            acme_ca_file: PathBuf::from("/etc/ssl/certs/ca-certificates.crt"),
            acme_request_timeout: DurationText::from_secs(30),
            acme_order_timeout: DurationText::from_secs(180),
            acme_retry_min: DurationText::from_secs(120),
            acme_retry_max: DurationText::from_secs(6 * 3600),
            acme_order_pause: DurationText::from_secs(3600),
            http2: true,
            http2_cleartext: false,
            http2_streams_max: 128,
            http2_stream_window_bytes: 256 * 1024,
            http2_connection_window_bytes: 1024 * 1024,
            http2_send_buffer_bytes: 64 * 1024,
            http2_resets_max: 100,
            http2_ping_interval: DurationText::from_secs(20),
            http2_ping_timeout: DurationText::from_secs(20),
            head_timeout: DurationText::from_secs(10),
            idle_timeout: DurationText::from_secs(60),
            body_grace: DurationText::from_secs(5),
            body_rate_min_bytes: 500,
            client_stall_timeout: DurationText::from_secs(30),
            connect_timeout: DurationText::from_secs(1),
            response_head_timeout: DurationText::from_secs(60),
            response_idle_timeout: DurationText::from_secs(300),
            tunnel_idle_timeout: DurationText::from_secs(600),
            server_idle_timeout: DurationText::from_secs(30),
            server_idle_max: 256,
            retries_max: 3,
            retry_budget_percent: 20,
            retry_budget_burst: 1_000,
            wait_timeout: DurationText::from_secs(5),
            waiting_max: 1_000,
            rate_limit_keys_max: 100_000,
            delayed_max: 1_000,
            proxy_header_timeout: DurationText::from_secs(5),
            health_interval: DurationText::from_secs(1),
            health_timeout: DurationText::from_secs(1),
            health_fall: 3,
            slow_start: DurationText::from_secs(5),
            follow_timeout: DurationText::from_secs(30),
            drain_delay: DurationText::from_millis(0),
            drain_idle_timeout: DurationText::from_secs(3),
            drain_timeout: DurationText::from_secs(30),
            trusted: Vec::new(),
            trace_create: false,
            access_log: true,
            access_log_queue_max: 65_536,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_read_back_and_refuse_unknown_fields() {
        let text = toml::to_string(&Settings::default()).unwrap();
        assert_eq!(toml::from_str::<Settings>(&text).unwrap(), Settings::default());
        assert!(toml::from_str::<Settings>("thread = 1").is_err());
    }
}
