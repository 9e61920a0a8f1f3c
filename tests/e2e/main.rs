//! End-to-end tests: real clusters of the real binary, one file per behaviour.
//!
//! `cargo xtask test` builds the binary first and says where it is in `TENON_BINARY`. Each test has an environment of its own
//! in a temporary directory, on ports of its own; when a test fails, the logs of its components are printed.

#[cfg(test)]
use tenon_tests::harness;

#[cfg(test)]
mod background;
#[cfg(test)]
mod bad_requests;
#[cfg(test)]
mod bad_services;
#[cfg(test)]
mod balancer;
#[cfg(test)]
mod canaries;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod dashboard;
#[cfg(test)]
mod deployments;
#[cfg(test)]
mod external_balancers;
#[cfg(test)]
mod group;
#[cfg(test)]
mod host_calls;
#[cfg(test)]
mod https;
#[cfg(test)]
mod hung;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod manifests;
#[cfg(test)]
mod probes;
#[cfg(test)]
mod rest_channels;
#[cfg(test)]
mod rust_services;
#[cfg(test)]
mod security;
#[cfg(test)]
mod server_add_remove;
#[cfg(test)]
mod several_hosts;
#[cfg(test)]
mod slow_clients;
#[cfg(test)]
mod smuggling;
#[cfg(test)]
mod tutorial;
#[cfg(test)]
mod under_load;
#[cfg(test)]
mod upgrade;
#[cfg(test)]
mod worker_groups;
