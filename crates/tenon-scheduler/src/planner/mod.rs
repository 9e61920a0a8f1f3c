//! What has to be planned for a job now: a pure function of the job, its cursor and the time.
//!
//! Every instant of a schedule becomes a row: a run, or a skipped run with the reason. What overlaps with open runs the store
//! decides, in the transaction that writes the row.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use tenon_model::{Random, Timestamp};
use tenon_store::{JobCursor, NewRun, PlanStep};

use crate::config::MissedPolicy;
use crate::job::Job;
use crate::settings::Settings;

/// What is remembered of a job besides its next instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CursorState {
    /// What the plan was made from.
    pub(crate) fingerprint: String,
    /// How many instants it had so far.
    pub(crate) count: u64,
    /// When the next instant is to be run: it, and its part of the jitter.
    pub(crate) due_at: Option<Timestamp>,
}

impl CursorState {
    /// The state of a cursor, if it was made from this job as it is now.
    pub(crate) fn of(cursor: &JobCursor, job: &Job) -> Option<Self> {
        let state: Self = serde_json::from_value(cursor.state.clone()).ok()?;
        (state.fingerprint == job.fingerprint).then_some(state)
    }
}

/// What a planner needs besides the job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planner<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) random: &'a dyn Random,
    pub(crate) now: Timestamp,
}

/// A place in a schedule.
#[derive(Debug, Clone)]
struct Place {
    watermark: Timestamp,
    next_at: Option<Timestamp>,
    state: CursorState,
    runs: Vec<NewRun>,
}

/// Whether what was planned lies so far ahead of the clock that the clock must have been wrong.
pub(crate) fn is_from_the_future(cursor: &JobCursor, now: Timestamp, settings: &Settings) -> bool {
    cursor.watermark.since(now) > settings.clock_back_max.0
}

impl Planner<'_> {
    /// The step that plans what is due of a job, if anything is to be written.
    pub(crate) fn step(&self, job: &Job, cursor: Option<&JobCursor>) -> Option<PlanStep> {
        let state = cursor.and_then(|cursor| CursorState::of(cursor, job));
        let is_new = state.is_none();
        let mut place = match (cursor, state) {
            (Some(cursor), Some(state)) => Place {
                watermark: cursor.watermark,
                next_at: cursor.next_at,
                state,
                runs: Vec::new(),
            },
            _ => self.begin(job, cursor),
        };
        self.pass_due(job, &mut place);
        (is_new || !place.runs.is_empty()).then(|| PlanStep {
            job: job.name.clone(),
            expected_version: cursor.map_or(0, |cursor| cursor.version),
            next_at: place.next_at,
            watermark: place.watermark,
            state: serde_json::to_value(&place.state).expect("plain data always serialises"),
            runs: place.runs,
        })
    }

    /// When a job has to be looked at next.
    pub(crate) fn due_at(job: &Job, cursor: &JobCursor) -> Option<Timestamp> {
        CursorState::of(cursor, job)?.due_at
    }

    /// The place of a job that is new, or whose schedule changed: from now on.
    fn begin(&self, job: &Job, cursor: Option<&JobCursor>) -> Place {
        let mut from = self.now;
        // The only instant of a job counts as missed, not as gone, if it lies a little back.
        if job.schedule.only_instant().is_some() && job.config.missed.policy != MissedPolicy::None {
            let within = i64::try_from(job.config.missed.within.0.as_millis()).unwrap_or(i64::MAX);
            from = Timestamp::from_millis(from.as_millis().saturating_sub(within));
        }
        let watermark = cursor.map_or(from, |cursor| cursor.watermark.max(from));
        let mut place = Place {
            watermark,
            next_at: None,
            state: CursorState {
                fingerprint: job.fingerprint.clone(),
                count: 0,
                due_at: None,
            },
            runs: Vec::new(),
        };
        self.aim(job, &mut place);
        place
    }

    /// Makes a row of each instant that is due.
    fn pass_due(&self, job: &Job, place: &mut Place) {
        while let (Some(instant), Some(due_at)) = (place.next_at, place.state.due_at) {
            if due_at > self.now || place.runs.len() >= self.settings.instants_max {
                return;
            }
            place.watermark = instant;
            place.state.count += 1;
            self.aim(job, place);
            let is_last = place.next_at.is_none_or(|next| next > self.now);
            let skipped = self.why_missed(job, due_at, is_last);
            place.runs.push(job.new_run(instant, skipped));
        }
    }

    /// Finds the instant after the watermark.
    fn aim(&self, job: &Job, place: &mut Place) {
        let is_over = !job.config.enabled || job.config.repeats.is_some_and(|repeats| place.state.count >= repeats);
        place.next_at = (!is_over).then(|| job.schedule.next_after(place.watermark)).flatten();
        place.state.due_at = place.next_at.map(|next| next.plus(self.jitter(job)));
    }

    fn jitter(&self, job: &Job) -> std::time::Duration {
        let bound = job.config.jitter.map_or(0, |jitter| jitter.0.as_millis());
        let millis = u64::try_from(bound).map_or(0, |bound| if bound == 0 { 0 } else { self.random.below(bound) });
        std::time::Duration::from_millis(millis)
    }

    /// Why an instant that is due is not run; none if it is.
    fn why_missed(&self, job: &Job, due_at: Timestamp, is_last: bool) -> Option<String> {
        let age = self.now.since(due_at);
        if age <= self.settings.late_grace.0 {
            return None;
        }
        let missed = &job.config.missed;
        let because = "no scheduler ran at that time";
        if missed.policy == MissedPolicy::None {
            return Some(format!("missed: {because}"));
        }
        if age > missed.within.0 {
            return Some(format!("missed by more than {}: {because}", missed.within));
        }
        (missed.policy == MissedPolicy::One && !is_last)
            .then(|| format!("missed, a later instant stands for it: {because}"))
    }
}
