//! What the end-to-end tests in `e2e/` and `cargo xtask chaos` share: clusters of the real binary.

pub mod harness;
