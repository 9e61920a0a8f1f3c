//! A job as the scheduler knows it: its configuration, its schedule, and the runs that it makes.

use serde_json::{Value, json};
use tenon_model::{DurationText, FieldProblem, Object, ObjectName, Timestamp};
use tenon_store::NewRun;

use crate::config::{JobConfig, OnLost, Overlap};
use crate::schedule::Schedule;

/// A job that can be planned.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) name: String,
    /// The name as that of its object.
    pub(crate) object_name: ObjectName,
    /// The version of its object.
    pub(crate) version: u64,
    pub(crate) config: JobConfig,
    pub(crate) schedule: Schedule,
    /// All that its instants follow from. While it is the same, the plan goes on; when it differs, it begins anew.
    pub(crate) fingerprint: String,
}

impl Job {
    /// Reads a job from its object.
    pub(crate) fn read(object: &Object) -> Result<Self, Vec<FieldProblem>> {
        let config: JobConfig = serde_json::from_value(object.body.clone())
            .map_err(|error| vec![FieldProblem::new("", error.to_string())])?;
        let schedule = Schedule::compile(&config)?;
        let fingerprint = json!([
            config.every,
            config.cron,
            config.at,
            config.timezone,
            config.start,
            config.end,
            config.repeats,
            config.jitter,
            config.enabled,
            config.dst,
        ]);
        Ok(Self {
            name: object.name.to_string(),
            object_name: object.name.clone(),
            version: object.version,
            config,
            schedule,
            fingerprint: fingerprint.to_string(),
        })
    }

    /// The instant of a job that has only one; the beginning of time for others.
    pub(crate) fn only_instant(&self) -> Timestamp {
        self.schedule.only_instant().unwrap_or_default()
    }

    /// The run of an instant, or what is written of one that is not run.
    pub(crate) fn new_run(&self, planned_at: Timestamp, skipped: Option<String>) -> NewRun {
        let config = &self.config;
        NewRun {
            job: self.name.clone(),
            planned_at,
            skipped,
            service: config.service.clone(),
            payload: config.payload.clone(),
            timeout_ms: millis(config.timeout),
            attempts_max: config.retries.attempts,
            retry_delay_ms: millis(config.retries.delay),
            retry_delay_max_ms: millis(config.retries.max_delay),
            on_lost: match config.on_lost {
                OnLost::Rerun => tenon_store::OnLost::Rerun,
                OnLost::Fail => tenon_store::OnLost::Fail,
            },
            overlap: match config.overlap {
                Overlap::Skip => tenon_store::Overlap::Skip,
                Overlap::Queue => tenon_store::Overlap::Queue,
                Overlap::Allow => tenon_store::Overlap::Allow,
                Overlap::Replace => tenon_store::Overlap::Replace,
            },
        }
    }
}

/// The run that somebody asks for besides the schedule, for [`Store::add_manual_run`](tenon_store::Store::add_manual_run).
pub fn manual_run(object: &Object, now: Timestamp) -> Result<NewRun, Vec<FieldProblem>> {
    Ok(Job::read(object)?.new_run(now, None))
}

/// The field of a payload that is JSON as text.
const LITERAL: &str = "$json";

/// A payload as a job has to have it so that the service gets exactly this: nothing in it is a reference.
pub fn literal_payload(payload: &Value) -> Value {
    json!({ LITERAL: payload.to_string().replace("${", "$${") })
}

/// The payload of a run, its references resolved, as the JSON that the service gets.
pub fn payload_text(resolved: &Value) -> String {
    let literal = resolved
        .as_object()
        .filter(|fields| fields.len() == 1)
        .and_then(|fields| fields.get(LITERAL))
        .and_then(Value::as_str);
    literal.map_or_else(|| resolved.to_string(), str::to_owned)
}

fn millis(duration: DurationText) -> u64 {
    u64::try_from(duration.0.as_millis()).unwrap_or(u64::MAX)
}
