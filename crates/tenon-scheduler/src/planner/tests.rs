//! What is planned of a job at a moment, policy by policy.

use serde_json::{Value, json};
use tenon_model::{ManualRandom, Object, Revision, Timestamp};
use tenon_store::{JobCursor, PlanStep};

use super::{Planner, is_from_the_future};
use crate::job::Job;
use crate::settings::Settings;

fn job(mut fields: Value) -> Job {
    fields["service"] = json!("s");
    let object = Object {
        kind: "job".to_owned(),
        name: "j".parse().unwrap(),
        body: fields,
        version: 1,
        revision: Revision(1),
        manifest: None,
        updated_at: Timestamp::default(),
    };
    Job::read(&object).unwrap()
}

fn at(time: &str) -> Timestamp {
    format!("2026-11-23T{time}Z").parse().unwrap()
}

/// A job that is followed through moments.
struct Followed {
    job: Job,
    cursor: Option<JobCursor>,
}

impl Followed {
    fn new(fields: Value) -> Self {
        Self {
            job: job(fields),
            cursor: None,
        }
    }

    fn step(&mut self, time: &str) -> Option<PlanStep> {
        let planner = Planner {
            settings: &Settings::default(),
            random: &ManualRandom::new(1),
            now: at(time),
        };
        let step = planner.step(&self.job, self.cursor.as_ref())?;
        self.cursor = Some(JobCursor {
            version: step.expected_version + 1,
            next_at: step.next_at,
            watermark: step.watermark,
            state: step.state.clone(),
        });
        Some(step)
    }

    /// The rows written at a moment: the instant, and why it is skipped.
    fn rows(&mut self, time: &str) -> Vec<String> {
        let text = |instant: Timestamp| instant.to_string()[11..19].to_owned();
        self.step(time).map_or_else(Vec::new, |step| {
            step.runs
                .iter()
                .map(|run| match &run.skipped {
                    Some(reason) => format!("{} {reason}", text(run.planned_at)),
                    None => text(run.planned_at),
                })
                .collect()
        })
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_job_begins_from_now_and_is_never_early() {
    let mut job = Followed::new(json!({"every": "10s"}));
    let first = job.step("02:00:03").unwrap();
    assert_eq!(
        (first.expected_version, first.runs.len(), first.next_at),
        (0, 0, Some(at("02:00:10")))
    );
    assert_eq!(job.step("02:00:09.999"), None);
    assert_eq!(job.rows("02:00:10"), ["02:00:10"]);
    assert_eq!(job.rows("02:00:35"), ["02:00:20", "02:00:30"]);
    assert_eq!(job.step("02:00:39"), None);
}

#[test]
fn missed_instants_follow_the_policy() {
    let missed = |policy: Value, time: &str| {
        let mut job = Followed::new(json!({"every": "10m", "missed": policy}));
        job.step("02:00:00");
        job.rows(time)
    };
    let because = "no scheduler ran at that time";
    assert_eq!(
        missed(json!({}), "02:35:00"),
        [
            format!("02:10:00 missed, a later instant stands for it: {because}"),
            format!("02:20:00 missed, a later instant stands for it: {because}"),
            "02:30:00".to_owned()
        ]
    );
    assert_eq!(
        missed(json!({"policy": "all"}), "02:35:00"),
        ["02:10:00", "02:20:00", "02:30:00"]
    );
    assert_eq!(
        missed(json!({"policy": "none"}), "02:15:00"),
        [format!("02:10:00 missed: {because}")]
    );
    // A little late is late, not missed.
    assert_eq!(missed(json!({"policy": "none"}), "02:10:20"), ["02:10:00"]);
    assert_eq!(
        missed(json!({"policy": "all", "within": "12m"}), "02:35:00"),
        [
            format!("02:10:00 missed by more than 12m: {because}"),
            format!("02:20:00 missed by more than 12m: {because}"),
            "02:30:00".to_owned()
        ]
    );
}

#[test]
fn a_one_time_job_runs_once_even_if_it_comes_late() {
    let mut late = Followed::new(json!({"at": "2026-11-23T02:00:00Z"}));
    assert_eq!(late.rows("02:30:00"), ["02:00:00"]);
    assert_eq!(late.step("02:40:00"), None);
    // The schedule is written differently but means the same instant: it was run.
    late.job = job(json!({"at": "2026-11-23T03:00:00", "timezone": "Europe/Berlin"}));
    assert_eq!(late.rows("02:50:00"), NOTHING);
    let mut too_late = Followed::new(json!({"at": "2026-11-23T02:00:00Z"}));
    assert_eq!(too_late.rows("03:00:01"), NOTHING);
    let mut never_late = Followed::new(json!({"at": "2026-11-23T02:00:00Z", "missed": {"policy": "none"}}));
    assert_eq!(never_late.rows("02:00:01"), NOTHING);
}

#[test]
fn repeats_and_the_end_are_kept() {
    let mut job = Followed::new(json!({"every": "1m", "repeats": 2}));
    job.step("02:00:30");
    assert_eq!(job.rows("02:01:00"), ["02:01:00"]);
    let last = job.step("02:02:00").unwrap();
    assert_eq!((last.runs.len(), last.next_at), (1, None));
    assert_eq!(job.step("03:00:00"), None);
    // Another schedule counts anew, from now on.
    job.job = self::job(json!({"every": "1m", "repeats": 3}));
    assert_eq!(job.step("03:00:10").unwrap().next_at, Some(at("03:01:00")));
}

#[test]
fn a_job_that_is_switched_off_misses_nothing() {
    let mut job = Followed::new(json!({"every": "1m"}));
    job.step("02:00:00");
    job.job = self::job(json!({"every": "1m", "enabled": false}));
    assert_eq!(job.step("02:00:30").unwrap().next_at, None);
    assert_eq!(job.step("03:00:00"), None);
    job.job = self::job(json!({"every": "1m", "payload": 1}));
    assert_eq!(job.rows("04:00:00"), NOTHING);
    assert_eq!(job.rows("04:01:00"), ["04:01:00"]);
    // What is no part of the schedule changes no plan.
    job.job = self::job(json!({"every": "1m", "payload": 2}));
    assert_eq!(job.step("04:01:30"), None);
    assert_eq!(job.step("04:02:00").unwrap().runs[0].payload, json!(2));
}

#[test]
fn jitter_delays_the_run_and_not_the_instant() {
    let mut job = Followed::new(json!({"every": "1m", "jitter": "30s"}));
    let first = job.step("02:00:30").unwrap();
    let due_at: Timestamp = serde_json::from_value(first.state["due_at"].clone()).unwrap();
    assert_eq!(first.next_at, Some(at("02:01:00")));
    assert!(due_at > at("02:01:00") && due_at < at("02:01:30"), "{due_at}");
    let before = Timestamp::from_millis(due_at.as_millis() - 1).to_string();
    assert_eq!(job.step(&before[11..23]), None);
    assert_eq!(job.rows(&due_at.to_string()[11..23]), ["02:01:00"]);
}

#[test]
fn a_clock_that_was_far_ahead_is_noticed() {
    let mut job = Followed::new(json!({"every": "1m"}));
    job.step("05:00:00");
    let cursor = job.cursor.unwrap();
    let is_future = |time: &str| is_from_the_future(&cursor, at(time), &Settings::default());
    assert!(is_future("03:59:59") && !is_future("04:30:00") && !is_future("06:00:00"));
}
