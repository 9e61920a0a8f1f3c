//! The claims of the chapter on availability that this project comes from, each a test named after its number.
//!
//! Here are those that one cluster shows; those that need two, or a load balancer that is not ours, are in
//! `external_balancers`. Every group shares one cluster.

mod one_server;
mod three_servers;
mod without_balancer;
