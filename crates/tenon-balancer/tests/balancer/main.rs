//! The load balancer in front of small real servers on loopback, one file per behaviour.
#![expect(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it should be"
)]
#![expect(clippy::format_collect, reason = "short texts, built once")]

mod acme;
mod balancing;
mod certificates;
mod forwarding;
mod framing;
mod harness;
mod http2;
mod keep_alive;
mod limits;
mod proxy_protocol;
mod retries;
mod rules;
mod secure;
mod shaping;
mod splits;
mod streaming;
mod tls;
mod upgrade;
