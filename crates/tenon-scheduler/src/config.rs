//! The kind `job`: what a user writes, and the rules beyond types.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenon_model::{DurationText, FieldProblem, KindConfig, KindGroup};

use crate::schedule::Schedule;

/// When a service runs without being called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobConfig {
    /// The service that is run.
    #[schemars(extend("x-tenon-service" = true))]
    pub service: String,
    /// What the service gets as its payload.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub payload: Value,
    /// How often it runs, such as `10s` or `1h30m`. Counted from `start`, or else from 1970-01-01T00:00:00Z, so that `10s` means
    /// at :00, :10, :20 … of each minute. Exactly one of `every`, `cron` and `at` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<DurationText>,
    /// A cron expression: minute, hour, day of month, month, day of week; a sixth field before them is seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// The one instant at which it runs: RFC 3339, or a local time in `timezone`, such as `2026-12-01T08:00:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The time zone of `cron` and of local times in `at`, `start` and `end`, by its IANA name such as `Europe/Berlin`.
    #[serde(default = "utc")]
    pub timezone: String,
    /// No run before this: RFC 3339, or a local time in `timezone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// No run after this: RFC 3339, or a local time in `timezone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// How many instants the job has altogether; without it there is no end. Counted anew when the schedule changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<u64>,
    /// Each run starts later by a random time below this, so that many jobs of one instant don't start together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<DurationText>,
    /// Whether it runs by its schedule. A job that is switched off can still be run by hand.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// How long an attempt may take.
    #[serde(default = "one_hour")]
    pub timeout: DurationText,
    /// What happens when a run fails.
    #[serde(default)]
    pub retries: Retries,
    /// What happens when the run before has not ended.
    #[serde(default)]
    pub overlap: Overlap,
    /// What happens to instants at which no scheduler was there.
    #[serde(default)]
    pub missed: Missed,
    /// What happens to local times that a clock change takes away or repeats. Only for `cron`.
    #[serde(default)]
    pub dst: Dst,
    /// What happens when the server that ran it died in the middle.
    #[serde(default)]
    pub on_lost: OnLost,
    /// Whether the job is removed when its run has ended. Only for `at`.
    #[serde(default)]
    pub delete_after_run: bool,
}

/// How often a failed run is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retries {
    /// How often a run is tried altogether; 1 means no second try.
    pub attempts: u32,
    /// How long to wait before the second try; each further wait is twice as long.
    pub delay: DurationText,
    /// How long to wait at most.
    pub max_delay: DurationText,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: 1,
            delay: DurationText::from_secs(10),
            max_delay: DurationText::from_secs(300),
        }
    }
}

/// What happens to an instant while the run before it has not ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// It is not run.
    #[default]
    Skip,
    /// It runs when the run before has ended.
    Queue,
    /// It runs beside the run before.
    Allow,
    /// Runs that still wait are skipped, one that is being run is ended, and then it runs.
    Replace,
}

/// What happens to instants that passed while no scheduler was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Missed {
    /// Which of them are run later.
    pub policy: MissedPolicy,
    /// Only those that are at most this long ago.
    pub within: DurationText,
}

impl Default for Missed {
    fn default() -> Self {
        Self {
            policy: MissedPolicy::One,
            within: DurationText::from_secs(3600),
        }
    }
}

/// Which missed instants are run later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MissedPolicy {
    /// None.
    None,
    /// The latest one, for all of them.
    #[default]
    One,
    /// Each of them.
    All,
}

/// What happens to local times that a clock change takes away or repeats.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dst {
    /// When clocks go forward: local times that don't exist that day.
    pub gap: Gap,
    /// When clocks go back: local times that exist twice that day.
    pub overlap: Fold,
}

/// What happens to local times that don't exist on a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Gap {
    /// `skip` for an expression with instants in every hour, `run` for others.
    #[default]
    Auto,
    /// They are left out.
    Skip,
    /// They run once, for all of them, at the instant at which the clocks went forward.
    Run,
}

/// What happens to local times that exist twice on a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fold {
    /// `both` for an expression with instants in every hour, `first` for others.
    #[default]
    Auto,
    /// They run the first time.
    First,
    /// They run the second time.
    Second,
    /// They run both times.
    Both,
}

/// What happens to a run whose server died in the middle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnLost {
    /// It is run again, with the same id.
    #[default]
    Rerun,
    /// It ends as lost.
    Fail,
}

fn utc() -> String {
    "UTC".to_owned()
}

const fn yes() -> bool {
    true
}

const fn one_hour() -> DurationText {
    DurationText::from_secs(3600)
}

impl KindConfig for JobConfig {
    const NAME: &'static str = "job";
    const TITLE: &'static str = "Job";
    const GROUP: KindGroup = KindGroup::Schedule;

    fn check(&self) -> Vec<FieldProblem> {
        let mut problems = Schedule::compile(self).err().unwrap_or_default();
        let mut wrong = |is_wrong: bool, field: &str, message: &str| {
            if is_wrong {
                problems.push(FieldProblem::new(field, message));
            }
        };
        wrong(
            self.service.trim().is_empty(),
            "service",
            "name the service that is run",
        );
        wrong(
            self.repeats == Some(0),
            "repeats",
            "at least 1; leave it out for a job without an end",
        );
        wrong(self.timeout.0.is_zero(), "timeout", "longer than 0s");
        wrong(
            !(1..=1000).contains(&self.retries.attempts),
            "retries.attempts",
            "1 (no second try) to 1000",
        );
        wrong(
            self.retries.max_delay < self.retries.delay,
            "retries.max_delay",
            "at least as long as retries.delay",
        );
        wrong(
            self.at.is_none() && self.delete_after_run,
            "delete_after_run",
            "only a job with 'at' has a last run after which it can be removed",
        );
        wrong(
            self.cron.is_none() && self.dst != Dst::default(),
            "dst",
            "only a job with 'cron' has local times that a clock change can take away or repeat",
        );
        problems
    }
}
