//! Tests of the SDK: services with a played server, frames on a bare socket, whole worker processes.

mod bodies;
mod inputs;
mod platform;
mod process;
mod services;
