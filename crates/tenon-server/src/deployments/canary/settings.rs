//! How canaries are decided.

use serde::{Deserialize, Serialize};
use tenon_model::DurationText;

/// When a canary becomes live, and when it is rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CanarySettings {
    /// How long a canary is tried that says nothing else.
    pub period: DurationText,
    /// How many calls of it have to be counted to decide by them at the end of the period.
    pub calls_min: u64,
    /// How many have to be counted to roll it back before the end.
    pub calls_early: u64,
    /// How many more of 1000 calls may fail than with the live deployment.
    pub errors_tolerated_permille: u32,
    /// How many hundredths of the live deployment's 95th percentile its own may be, with `latency_floor` added.
    pub latency_max_percent: u32,
    /// A difference in latency that never counts.
    pub latency_floor: DurationText,
    /// How much longer than its period it is tried when there are too few calls.
    pub extension_max: DurationText,
    /// What happens if there are too few even then.
    pub with_few_calls: WithFewCalls,
    /// How often servers say what they counted.
    pub report_every: DurationText,
}

impl Default for CanarySettings {
    fn default() -> Self {
        Self {
            period: DurationText::from_secs(60),
            calls_min: 50,
            calls_early: 20,
            errors_tolerated_permille: 10,
            latency_max_percent: 150,
            latency_floor: DurationText::from_millis(50),
            extension_max: DurationText::from_secs(600),
            with_few_calls: WithFewCalls::PromoteWithoutErrors,
            report_every: DurationText::from_secs(1),
        }
    }
}

/// What becomes of a canary that had too few calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WithFewCalls {
    /// It becomes live.
    Promote,
    /// It becomes live if none of its calls failed.
    PromoteWithoutErrors,
    /// It is rolled back.
    RollBack,
}
