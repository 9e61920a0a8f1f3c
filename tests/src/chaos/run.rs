//! One scenario from beginning to end.

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::act::Act;
use super::keep::keep;
use super::scenario::Scenario;
use super::subject::{PATH, Subject};
use crate::load::{Counts, End, Ledger, Load, Plan};

/// Requests that must have ended before anything is done.
const WARM_REQUESTS: usize = 50;

/// Between two acts, in milliseconds.
const PAUSE_MILLIS: Range<u64> = 300..1_500;

/// How long and how fast.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long things are done to the cluster.
    pub during: Duration,
    /// How long it is left alone before and after.
    pub calm: Duration,
    /// Requests per second.
    pub rate: u32,
    /// What chance depends on.
    pub seed: u64,
}

/// What came of a scenario.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The scenario's name.
    pub name: String,
    /// How often something was done.
    pub acts: u32,
    /// What could not be done, in words; requests count whether or not it could.
    pub undone: Vec<String>,
    /// How requests ended.
    pub counts: Counts,
    /// Requests that were done more than once though they must not.
    pub duplicates: u64,
    /// The 99th percentile before, while and after things were done.
    pub p99: [Option<Duration>; 3],
    /// Why requests ended otherwise than answered, in words.
    pub reasons: Vec<String>,
}

impl Outcome {
    /// Whether the cluster kept its promise.
    pub fn is_good(&self) -> bool {
        self.counts.failed == 0 && self.duplicates == 0 && self.counts.answered > 0 && self.acts > 0
    }
}

/// Something that was done, or tried.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) act: Act,
    pub(super) from: Instant,
    pub(super) to: Instant,
    /// Why it could not be done.
    pub(super) error: Option<String>,
}

/// Runs a scenario; `is_over` ends it early. Every request, what was done and the cluster's logs are left in the folder `kept`.
pub fn run(
    scenario: &Scenario,
    pace: Pace,
    is_over: &dyn Fn() -> bool,
    kept: Option<&Path>,
) -> anyhow::Result<Outcome> {
    let mut subject = Subject::start(scenario)?;
    let load = Load::start(Plan {
        https_port: Some(subject.https_port()),
        has_h2: true,
        ..Plan::new(subject.cluster.port(), PATH, pace.rate, pace.seed)
    })?;
    while load.ledger().len() < WARM_REQUESTS && !is_over() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let before = Instant::now();
    std::thread::sleep(pace.calm);
    let during = Instant::now();
    let done = act(scenario, pace, &mut subject, &load, is_over);
    let after = Instant::now();
    std::thread::sleep(pace.calm);
    let end = Instant::now();
    let ledger = load.stop()?;

    let (ids, cids) = subject.retried();
    ledger.mark_retried(&ids, &cids);
    let (wrong, duplicates) = ledger.check_record(&subject.recorded());
    let mut reasons = reasons(&ledger);
    reasons.extend(wrong.iter().map(|(id, why)| format!("request {id}: {why}")));
    if let Some(folder) = kept {
        keep(folder, &subject, &ledger, &done)?;
    }
    let errors = |done: &Done| Some(format!("{:?}: {}", done.act, done.error.as_ref()?));
    let undone: Vec<String> = done.iter().filter_map(errors).collect();
    let windows = [before..during, during..after, after..end];
    Ok(Outcome {
        name: scenario.name.clone(),
        acts: u32::try_from(done.len() - undone.len())?,
        undone,
        counts: ledger.counts(),
        duplicates,
        p99: windows.map(|window| ledger.latencies(&window).per_mille(990)),
        reasons,
    })
}

/// Does things until time is over, each of them at least once if they are done in turn.
fn act(scenario: &Scenario, pace: Pace, subject: &mut Subject, load: &Load, is_over: &dyn Fn() -> bool) -> Vec<Done> {
    let mut chance = StdRng::seed_from_u64(pace.seed);
    let started = Instant::now();
    let mut done = Vec::new();
    for number in 0.. {
        let is_through = scenario.is_random || number >= scenario.acts.len();
        if is_over() || (is_through && started.elapsed() >= pace.during) {
            break;
        }
        let index = if scenario.is_random {
            chance.random_range(0..scenario.acts.len())
        } else {
            number % scenario.acts.len()
        };
        let act: Act = scenario.acts[index];
        let from = Instant::now();
        let ended = act.run(subject, load.weather());
        done.push(Done {
            act,
            from,
            to: Instant::now(),
            error: ended.err().map(|error| format!("{error:#}")),
        });
        std::thread::sleep(Duration::from_millis(chance.random_range(PAUSE_MILLIS)));
    }
    done
}

fn reasons(ledger: &Ledger) -> Vec<String> {
    let mut all = Vec::new();
    for end in [End::Failed, End::Unknown, End::Retried] {
        for ((kind, why), (count, example)) in ledger.reasons(end) {
            all.push(format!("{end:?} {count} × {kind:?}: {why} (request {example})"));
        }
    }
    all
}
