//! Limits of the control protocol.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tenon_model::DurationText;

/// Limits of a control address and of those who call one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlSettings {
    /// How long connecting and the TLS handshake may take.
    pub connect_timeout: DurationText,
    /// How long a call may take, unless it waits for something by its nature.
    pub call_timeout: DurationText,
    /// The largest body of a request or an answer, in bytes. The largest that there is holds the files of a deployment.
    pub body_bytes_max: usize,
    /// How many connections a control address serves at a time.
    pub connections_max: usize,
}

impl Default for ControlSettings {
    fn default() -> Self {
        Self {
            connect_timeout: DurationText::from_secs(2),
            call_timeout: DurationText::from_secs(60),
            body_bytes_max: 192 << 20,
            connections_max: 1024,
        }
    }
}

impl ControlSettings {
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout.0
    }
}
