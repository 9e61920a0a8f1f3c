//! tenon-scheduler
