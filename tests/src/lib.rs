//! End-to-end tests of the real binary; everything is in `e2e/`.
