//! What the end-to-end tests in `e2e/` and `cargo xtask chaos` share: clusters of the real binary, a load generator, and what
//! can be done to a cluster under load.

pub mod chaos;
pub mod harness;
pub mod load;
pub mod proxies;
pub mod security;
