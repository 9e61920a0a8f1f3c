//! tenon-connectors
