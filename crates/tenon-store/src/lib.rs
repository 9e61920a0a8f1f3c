//! tenon-store
