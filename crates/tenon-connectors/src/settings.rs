//! What a process gives all its connectors. Limits of one connection are fields of its object, not settings.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Settings of all connectors of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// PEM file with the certificate authorities that outgoing TLS connections trust if they name none themselves.
    pub ca_file: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ca_file: PathBuf::from("/etc/ssl/certs/ca-certificates.crt"),
        }
    }
}
