//! What a worker tells of its own accord: lines for the log, measurements.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A line for the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// `debug`, `info`, `warning`, `error` or `critical`, in any case.
    #[serde(default)]
    pub level: String,
    /// The logger's name.
    #[serde(default)]
    pub logger: String,
    /// The text.
    #[serde(default)]
    pub message: String,
    /// The correlation id of the call that logs; empty outside calls.
    #[serde(default)]
    pub cid: Option<String>,
    /// The service that logs; empty outside calls.
    #[serde(default)]
    pub service: Option<String>,
}

/// How measurements of a metric add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricKind {
    /// They are added to each other; none is negative.
    Counter,
    /// The last one counts.
    Gauge,
    /// They are sorted into buckets.
    Histogram,
}

/// A measurement that a service made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// The metric's name, as the service gives it.
    pub name: String,
    /// How its measurements add up.
    pub kind: MetricKind,
    /// The measured value, or how much to add to a counter.
    pub value: f64,
    /// What tells measurements of the same metric apart.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The service that measured; empty outside calls.
    #[serde(default)]
    pub service: String,
}
