//! Services in tests, without a cluster.
