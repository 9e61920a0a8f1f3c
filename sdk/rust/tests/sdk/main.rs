//! Tests of the SDK: services with a played server, frames on a bare socket, whole worker processes.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod inputs;
#[cfg(test)]
mod platform;
#[cfg(test)]
mod process;
#[cfg(test)]
mod services;
