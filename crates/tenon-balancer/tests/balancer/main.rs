//! The load balancer in front of small real servers on loopback, one file per behaviour.
#![allow(unused_crate_dependencies, reason = "the tests use few of the crate's dependencies")]

mod forwarding;
mod framing;
mod harness;
mod keep_alive;
mod limits;
mod retries;
mod splits;
mod streaming;
mod upgrade;
