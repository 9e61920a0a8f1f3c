//! tenon-dashboard
