//! tenon-balancer
