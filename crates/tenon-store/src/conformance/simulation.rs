//! Jobs under schedulers that believe that they lead and servers that die, in simulated time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use tenon_model::{ManualRandom, Random, Timestamp};
use tenon_protocol::control::RunOutcome;

use super::{START, Subject, at, instance, runs};
use crate::engine::Store;
use crate::error::StoreError;
use crate::leases::Lease;
use crate::runs::{ClaimedRun, FinishedRun, NewRun, OnLost, Overlap, PlanStep};

const SEED: u64 = 42;
const STEPS: u32 = 1_500;
const CLAIM_MS: u64 = 2_000;
const LEASE_MS: u64 = 3_000;
const LATE: &str = "a report that comes late";

/// Jobs: name, interval, policies. The deaths allowed per run are few here, so those that fail by them are expected.
const JOBS: [(&str, i64, Overlap, OnLost); 4] = [
    ("queue", 700, Overlap::Queue, OnLost::Rerun),
    ("skip", 300, Overlap::Skip, OnLost::Rerun),
    ("allow", 500, Overlap::Allow, OnLost::Fail),
    ("replace", 900, Overlap::Replace, OnLost::Rerun),
];

/// An attempt that a server works on.
struct Attempt {
    run: ClaimedRun,
    started_at: Timestamp,
}

/// A scheduler with what it last knew, which may be old.
struct Scheduler {
    name: &'static str,
    lease: Option<Lease>,
    /// Steps that it made and has not written yet.
    prepared: Vec<PlanStep>,
}

struct Simulation {
    subject: Subject,
    random: Arc<dyn Random>,
    schedulers: Vec<Scheduler>,
    attempts: Vec<Attempt>,
    /// When each run's attempts began.
    starts: BTreeMap<u64, Vec<(u64, Timestamp)>>,
    accepted: BTreeSet<u64>,
    overlaps: BTreeMap<String, u64>,
}

pub(super) async fn the_ledger_is_right_when_servers_and_schedulers_die(subject: Subject) -> Result<(), StoreError> {
    let scheduler = |name| Scheduler {
        name,
        lease: None,
        prepared: Vec::new(),
    };
    let mut simulation = Simulation {
        subject,
        random: Arc::new(ManualRandom::new(SEED)),
        schedulers: vec![scheduler("scheduler1"), scheduler("scheduler2")],
        attempts: Vec::new(),
        starts: BTreeMap::new(),
        accepted: BTreeSet::new(),
        overlaps: BTreeMap::new(),
    };
    for _ in 0..STEPS {
        simulation.step().await?;
    }
    simulation.settle().await?;
    simulation.check().await
}

impl Simulation {
    fn store(&self) -> &Store {
        &self.subject.store
    }

    fn now(&self) -> Timestamp {
        use tenon_model::Clock as _;
        self.subject.clock.now()
    }

    fn pick<T>(&self, items: &[T]) -> usize {
        usize::try_from(self.random.below(items.len() as u64)).unwrap_or(0)
    }

    async fn step(&mut self) -> Result<(), StoreError> {
        match self.random.below(10) {
            0..=2 => self.subject.advance_ms(self.random.below(400)),
            3 | 4 => {
                let index = self.pick(&self.schedulers);
                self.prepare(index).await?;
            }
            5 => {
                let index = self.pick(&self.schedulers);
                self.write_prepared(index).await?;
            }
            6 | 7 => self.claim().await?,
            8 if !self.attempts.is_empty() => {
                let index = self.pick(&self.attempts);
                let attempt = self.attempts.swap_remove(index);
                // One in four servers dies and never says how it ended; the others may be too late.
                if self.random.below(4) > 0 {
                    self.finish(attempt).await?;
                }
            }
            _ if !self.attempts.is_empty() => {
                let index = self.pick(&self.attempts);
                let attempt = &self.attempts[index];
                let claim = (attempt.run.id, attempt.run.fence);
                self.store().renew_runs(vec![claim], CLAIM_MS).await?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A scheduler that has, or had, the lease makes steps up to now; it may write them much later.
    async fn prepare(&mut self, index: usize) -> Result<(), StoreError> {
        let name = self.schedulers[index].name;
        let lease = self
            .store()
            .acquire_lease("scheduler", &instance(name), LEASE_MS)
            .await?;
        if let Some(lease) = lease {
            let steps = self.steps().await?;
            let scheduler = &mut self.schedulers[index];
            scheduler.lease = Some(lease);
            scheduler.prepared = steps;
        }
        Ok(())
    }

    async fn steps(&self) -> Result<Vec<PlanStep>, StoreError> {
        let cursors = self.store().job_cursors().await?;
        let now = self.now();
        let steps = JOBS.iter().map(|(job, every_ms, overlap, on_lost)| {
            let cursor = cursors.get(*job);
            let watermark = cursor.map_or(at(-1), |cursor| cursor.watermark);
            let runs = instants(*every_ms, watermark, now).map(|planned_at| NewRun {
                planned_at,
                attempts_max: 2,
                overlap: *overlap,
                on_lost: *on_lost,
                ..runs::new_run(job, 0)
            });
            PlanStep {
                job: (*job).to_owned(),
                expected_version: cursor.map_or(0, |cursor| cursor.version),
                next_at: None,
                watermark: now,
                state: Value::Null,
                runs: runs.collect(),
            }
        });
        Ok(steps.collect())
    }

    async fn write_prepared(&mut self, index: usize) -> Result<(), StoreError> {
        let scheduler = &mut self.schedulers[index];
        let (Some(lease), steps) = (scheduler.lease.clone(), std::mem::take(&mut scheduler.prepared)) else {
            return Ok(());
        };
        match self.store().plan_runs(&lease, steps).await {
            Ok(()) | Err(StoreError::Fenced(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn claim(&mut self) -> Result<(), StoreError> {
        let server = format!("server{}", self.random.below(3));
        let claimed = self
            .subject
            .store
            .claim_runs(&server, &instance(&server), 3, CLAIM_MS)
            .await?;
        let started_at = self.now();
        for run in claimed {
            self.starts.entry(run.id).or_default().push((run.fence, started_at));
            self.attempts.push(Attempt { run, started_at });
        }
        Ok(())
    }

    async fn finish(&mut self, attempt: Attempt) -> Result<(), StoreError> {
        let now = self.now();
        let Attempt { run, started_at } = attempt;
        let outcome = if self.random.below(5) == 0 {
            RunOutcome::Error
        } else {
            RunOutcome::Ok
        };
        let finished = FinishedRun {
            id: run.id,
            fence: run.fence,
            outcome,
            output: String::new(),
            error: String::new(),
            cid: LATE.to_owned(),
            duration_ms: u64::try_from(now.since(started_at).as_millis()).unwrap_or(u64::MAX),
        };
        match self.subject.store.finish_run(finished).await {
            Ok(ended) if ended.ended_at.is_some() => {
                assert!(self.accepted.insert(run.id), "run {} ended twice", run.id);
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(StoreError::Fenced(_)) => {
                let starts = &self.starts[&run.id];
                let next = starts.iter().find(|(fence, _)| *fence > run.fence);
                if next.is_some_and(|(_, next_at)| now > *next_at) {
                    *self.overlaps.entry(run.job).or_default() += 1;
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Everything is planned, and everything that is open is run to its end.
    async fn settle(&mut self) -> Result<(), StoreError> {
        while !self.attempts.is_empty() {
            let attempt = self.attempts.swap_remove(0);
            self.finish(attempt).await?;
        }
        self.subject.advance_ms(LEASE_MS);
        self.prepare(0).await?;
        self.write_prepared(0).await?;
        for _ in 0..1_000 {
            self.subject.advance_ms(CLAIM_MS);
            self.claim().await?;
            if self.attempts.is_empty() {
                return Ok(());
            }
            while let Some(attempt) = self.attempts.pop() {
                self.finish(attempt).await?;
            }
        }
        Err(StoreError::Conflict("runs are left over".to_owned()))
    }

    async fn check(&self) -> Result<(), StoreError> {
        let cursors = self.store().job_cursors().await?;
        for (job, every_ms, _, _) in JOBS {
            let watermark = cursors[job].watermark;
            let expected = instants(every_ms, at(-1), watermark).count() as u64;
            let ledger = self.store().job_ledger(job).await?;
            assert_eq!(ledger.planned, expected, "{job}: every instant was planned, once");
            assert_eq!((ledger.duplicates, ledger.lost, ledger.open), (0, 0, 0), "{ledger:?}");
            assert_eq!(ledger.ran + ledger.missed_by_policy, ledger.planned, "{ledger:?}");
            assert!(ledger.ran > 10, "{ledger:?}: the simulation does something");
            let overlaps = self.overlaps.get(job).copied().unwrap_or(0);
            assert_eq!(ledger.overlapping_attempts, overlaps, "{job}");
        }
        Ok(())
    }
}

/// The instants of an interval after one instant, up to and including another.
fn instants(every_ms: i64, after: Timestamp, until: Timestamp) -> impl Iterator<Item = Timestamp> {
    let first = (after.as_millis() - START.as_millis()).div_euclid(every_ms) + 1;
    let last = (until.as_millis() - START.as_millis()).div_euclid(every_ms);
    (first..=last).map(move |number| at(number * every_ms))
}
