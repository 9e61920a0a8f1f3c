//! tenon-control
