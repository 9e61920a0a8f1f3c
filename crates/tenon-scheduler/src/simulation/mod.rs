//! A seeded simulation: two schedulers that both believe they lead, crashes between steps, a clock that stands, runs and jumps,
//! servers that die in the middle; and afterwards the books must be right.
//!
//! The store is the real one, on disk; only time and chance are simulated. `TENON_SIMULATION_SEEDS` says how many seeds to try.

mod servers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tenon_model::{Clock, InstanceId, ManualClock, ManualRandom, ObjectKey, Random, SystemRandom, Timestamp};
use tenon_protocol::control::{RunOutcome, RunSummary};
use tenon_store::{Lease, ObjectChange, Store, StoreError};

use crate::config::JobConfig;
use crate::job::manual_run;
use crate::schedule::Schedule;
use crate::scheduler::Leader;
use crate::settings::Settings;
use servers::Servers;

const STEPS: u32 = 150;
const LEASE_MS: u64 = 6_000;

/// Jobs of every sort. `(name, fields)`.
fn jobs() -> Vec<(&'static str, Value)> {
    vec![
        ("skip", json!({"every": "5s"})),
        ("queue", json!({"every": "7s", "overlap": "queue"})),
        (
            "allow",
            json!({"every": "9s", "overlap": "allow", "missed": {"policy": "all", "within": "10m"}}),
        ),
        ("replace", json!({"every": "8s", "overlap": "replace"})),
        (
            "cron",
            json!({"cron": "*/15 * * * * *", "timezone": "Europe/Berlin", "missed": {"policy": "none"}}),
        ),
        (
            "clock-change",
            json!({"cron": "0 */20 2 * * *", "timezone": "Europe/Berlin"}),
        ),
        (
            "retries",
            json!({"every": "20s", "retries": {"attempts": 3, "delay": "1s"}}),
        ),
        ("on-lost-fail", json!({"every": "11s", "on_lost": "fail"})),
        ("jitter", json!({"every": "30s", "jitter": "10s"})),
        ("repeats", json!({"every": "3s", "repeats": 10, "overlap": "queue"})),
        ("once", json!({"at": "2026-03-29T01:01:00Z"})),
        ("end", json!({"every": "1m", "end": "2026-03-29T01:05:00Z"})),
    ]
}

/// A scheduler's process: what it read, and the lease that it believes in.
#[derive(Default)]
struct Process {
    leader: Option<Leader>,
    lease: Option<Lease>,
}

struct World {
    store: Store,
    clock: Arc<ManualClock>,
    random: ManualRandom,
    settings: Settings,
    began: Timestamp,
    schedulers: [Process; 2],
    servers: Servers,
    manual: u64,
    fenced: u32,
    _dir: tempfile::TempDir,
}

impl World {
    async fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // A minute and a half before clocks go forward in Berlin.
        let began: Timestamp = "2026-03-29T00:58:30Z".parse().unwrap();
        let clock = Arc::new(ManualClock::new(began));
        let store = Store::sqlite_in(dir.path(), clock.clone(), Arc::new(SystemRandom)).unwrap();
        let changes = jobs()
            .into_iter()
            .map(|(name, mut body)| {
                body["service"] = json!("work");
                ObjectChange::Put {
                    key: ObjectKey::new("job", name.parse().unwrap()),
                    body,
                    manifest: None,
                    if_version: None,
                }
            })
            .collect();
        store.write_objects(changes, "simulation").await.unwrap();
        Self {
            store,
            clock,
            random: ManualRandom::new(seed),
            settings: Settings {
                instants_max: 7,
                batch_max: 20,
                ..Settings::default()
            },
            began,
            schedulers: Default::default(),
            servers: Servers::default(),
            manual: 0,
            fenced: 0,
            _dir: dir,
        }
    }

    /// One scheduler does its part, or less of it.
    async fn schedule(&mut self, which: usize, finishes: bool) {
        // Now and then it does not ask whether it still leads; whatever it writes then must do no harm.
        let asks = finishes || self.schedulers[which].lease.is_none() || self.random.below(3) == 0;
        if asks {
            let holder = InstanceId::from_text(format!("scheduler{which}"));
            let lease = self.store.acquire_lease("scheduler", &holder, LEASE_MS).await.unwrap();
            self.schedulers[which].lease = lease.or(self.schedulers[which].lease.take().filter(|_| !finishes));
        }
        let World {
            store, clock, random, ..
        } = self;
        let process = &mut self.schedulers[which];
        let Some(lease) = process.lease.clone() else {
            return;
        };
        if process.leader.is_none() {
            process.leader = Some(Leader::load(store).await.unwrap());
        }
        let leader = process.leader.as_mut().unwrap();
        if finishes || random.below(2) == 0 {
            leader.follow(store).await.unwrap();
        }
        match leader.plan(store, &lease, clock.as_ref(), random, &self.settings).await {
            Ok(()) => {}
            Err(StoreError::Fenced(_)) => {
                *process = Process::default();
                self.fenced += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }

    async fn step(&mut self) {
        match self.random.below(20) {
            0..=6 => self.pass(self.random.below(4_000)),
            7 => self.pass(self.random.below(60_000)),
            8 if self.random.below(12) == 0 => self.pass(self.random.below(4_000_000)),
            9 => self.clock_goes_back(),
            10..=13 => {
                let which = usize::try_from(self.random.below(2)).unwrap();
                self.schedule(which, false).await;
            }
            14 => {
                // It crashes. What it read is gone; what it wrote is not.
                let which = usize::try_from(self.random.below(2)).unwrap();
                self.schedulers[which] = Process::default();
            }
            15 if self.random.below(4) == 0 => self.run_by_hand().await,
            16 if self.random.below(4) == 0 => self.change_a_payload().await,
            _ => self.servers.act(&self.store, &self.clock, &self.random).await,
        }
    }

    fn pass(&self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
    }

    fn clock_goes_back(&self) {
        let back = i64::try_from(self.random.below(3_000)).unwrap();
        self.clock
            .set(Timestamp::from_millis(self.clock.now().as_millis() - back));
    }

    async fn run_by_hand(&mut self) {
        let key = ObjectKey::new("job", "queue".parse().unwrap());
        let object = self.store.object(&key).await.unwrap().unwrap();
        let run = manual_run(&object, self.clock.now()).unwrap();
        match self.store.add_manual_run(run).await {
            Ok(_) => self.manual += 1,
            Err(StoreError::Conflict(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn change_a_payload(&mut self) {
        let key = ObjectKey::new("job", "skip".parse().unwrap());
        let body = json!({"service": "work", "every": "5s", "payload": self.random.below(100)});
        let change = ObjectChange::Put {
            key,
            body,
            manifest: None,
            if_version: None,
        };
        self.store.write_objects(vec![change], "simulation").await.unwrap();
    }

    /// Everything works again, until nothing is left to do.
    async fn settle(&mut self) {
        self.pass(LEASE_MS * 2);
        self.schedule(0, true).await;
        for _ in 0..10_000 {
            if self.servers.finish_all(&self.store, &self.clock).await {
                return;
            }
        }
        panic!("runs are left that nobody can run");
    }

    async fn check(&self, seed: u64) {
        let cursors = self.store.job_cursors().await.unwrap();
        for (name, mut body) in jobs() {
            let ledger = self.store.job_ledger(name).await.unwrap();
            assert_eq!(
                (ledger.duplicates, ledger.lost, ledger.open, ledger.overlapping_attempts),
                (0, 0, 0, 0),
                "seed {seed}, job {name}: {ledger:?}"
            );
            // The ledger is believed only because every instant of the schedule is there, once.
            body["service"] = json!("work");
            let config: JobConfig = serde_json::from_value(body).unwrap();
            let schedule = Schedule::compile(&config).unwrap();
            let runs = self.runs(name).await;
            let planned: Vec<Timestamp> = runs
                .iter()
                .filter(|run| !run.manual)
                .map(|run| run.planned_at)
                .collect();
            let found: BTreeSet<Timestamp> = planned.iter().copied().collect();
            assert_eq!(
                found.len(),
                planned.len(),
                "seed {seed}, job {name}: an instant was planned twice"
            );
            let until = cursors[name].watermark;
            let from = planned
                .iter()
                .min()
                .map_or(until, |first| Timestamp::from_millis(first.as_millis() - 1));
            let due: BTreeSet<Timestamp> =
                std::iter::successors(schedule.next_after(from), |instant| schedule.next_after(*instant))
                    .take_while(|instant| *instant <= until)
                    .collect();
            assert_eq!(found, due, "seed {seed}, job {name}");
            assert!(
                self.first_seen(name) <= until,
                "seed {seed}, job {name} was never planned"
            );
            if name == "repeats" {
                assert!(found.len() <= 10, "seed {seed}");
            }
            self.servers.check(seed, name, &runs);
        }
        let manual = self.runs("queue").await.iter().filter(|run| run.manual).count();
        assert_eq!(u64::try_from(manual).unwrap(), self.manual, "seed {seed}");
    }

    /// The first instant that a job may have had.
    fn first_seen(&self, name: &str) -> Timestamp {
        // A one-time job counts as missed when it lies back.
        if name == "once" {
            Timestamp::default()
        } else {
            self.began
        }
    }

    async fn runs(&self, job: &str) -> Vec<RunSummary> {
        let mut all = Vec::new();
        loop {
            let after = all.last().map(|run: &RunSummary| run.id);
            let page = self.store.runs(job, after, 500).await.unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }
}

fn name_of(outcome: RunOutcome) -> &'static str {
    match outcome {
        RunOutcome::Waiting => "waiting",
        RunOutcome::Running => "running",
        RunOutcome::Ok => "ok",
        RunOutcome::Error => "error",
        RunOutcome::Timeout => "timeout",
        RunOutcome::Lost => "lost",
        RunOutcome::Skipped => "skipped",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_instant_is_lost_or_run_twice_whatever_dies() {
    let seeds = std::env::var("TENON_SIMULATION_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let mut happened: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..seeds.unwrap_or(4_u64) {
        let mut world = World::new(seed).await;
        for _ in 0..STEPS {
            world.step().await;
        }
        world.settle().await;
        world.check(seed).await;
        *happened.entry("fenced").or_default() += usize::try_from(world.fenced).unwrap();
        for (name, _) in jobs() {
            for run in world.runs(name).await {
                *happened.entry(name_of(run.outcome)).or_default() += 1;
            }
        }
    }
    // A simulation in which nothing happens proves nothing.
    for what in ["ok", "error", "lost", "skipped", "fenced"] {
        assert!(
            happened.get(what).is_some_and(|count| *count > 0),
            "{what} never happened: {happened:?}"
        );
    }
    println!("{happened:?}");
}
