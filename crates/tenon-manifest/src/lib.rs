//! tenon-manifest
