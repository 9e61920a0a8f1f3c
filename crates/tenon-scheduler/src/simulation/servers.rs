//! The servers of the simulation: they claim, run, renew, finish, are late, and die.

use std::collections::BTreeMap;
use std::time::Duration;

use tenon_model::{Clock, InstanceId, ManualClock, ManualRandom, Random, Timestamp};
use tenon_protocol::control::{RunOutcome, RunSummary};
use tenon_store::{ClaimedRun, FinishedRun, Store, StoreError};

const CLAIM_MS: u64 = 5_000;

/// What the servers are running, and what they have seen.
#[derive(Debug, Default)]
pub(super) struct Servers {
    /// By run id: the latest claim, when it was made or renewed, and whether its server died.
    held: BTreeMap<u64, Held>,
    /// How often each run was reported as done.
    done: BTreeMap<u64, u32>,
}

#[derive(Debug)]
struct Held {
    run: ClaimedRun,
    kept_at: Timestamp,
    is_dead: bool,
}

impl Servers {
    /// One server does something.
    pub(super) async fn act(&mut self, store: &Store, clock: &ManualClock, random: &ManualRandom) {
        match random.below(10) {
            0..=3 => {
                let max = 1 + u32::try_from(random.below(4)).unwrap();
                self.claim(store, clock, max).await;
            }
            4 => {
                // A server dies with what it runs.
                let ids: Vec<u64> = self.held.keys().copied().collect();
                if let Some(id) = pick(&ids, random) {
                    self.held.get_mut(&id).expect("it was picked from these").is_dead = true;
                }
            }
            5 | 6 => self.renew(store, clock).await,
            _ => {
                let ids: Vec<u64> = self
                    .held
                    .iter()
                    .filter(|(_, held)| !held.is_dead)
                    .map(|(id, _)| *id)
                    .collect();
                if let Some(id) = pick(&ids, random) {
                    let outcome = if random.below(3) == 0 {
                        RunOutcome::Error
                    } else {
                        RunOutcome::Ok
                    };
                    self.finish(store, clock, id, outcome).await;
                }
            }
        }
    }

    async fn claim(&mut self, store: &Store, clock: &ManualClock, max: u32) {
        let instance = InstanceId::from_text("server");
        for run in store.claim_runs("server1", &instance, max, CLAIM_MS).await.unwrap() {
            assert!(run.planned_at <= clock.now(), "a run was given out early");
            let beside: Vec<&Held> = self
                .held
                .values()
                .filter(|held| held.run.job == run.job && held.run.id != run.id && is_alive(held, clock))
                .collect();
            assert!(
                run.job == "allow" || beside.is_empty(),
                "{} runs beside itself: {run:?} and {beside:?}",
                run.job
            );
            let held = Held {
                kept_at: clock.now(),
                run,
                is_dead: false,
            };
            if let Some(before) = self.held.insert(held.run.id, held) {
                assert!(!is_alive(&before, clock), "a run was given to two servers");
            }
        }
    }

    /// A server that can't keep a claim ends its attempt: that is its part of the contract.
    async fn renew(&mut self, store: &Store, clock: &ManualClock) {
        let claims: Vec<(u64, u64)> = self
            .held
            .values()
            .filter(|held| !held.is_dead)
            .map(|held| (held.run.id, held.run.fence))
            .collect();
        let kept = store.renew_runs(claims, CLAIM_MS).await.unwrap();
        let now = clock.now();
        self.held.retain(|id, held| held.is_dead || kept.contains(id));
        for held in self.held.values_mut().filter(|held| !held.is_dead) {
            held.kept_at = now;
        }
    }

    async fn finish(&mut self, store: &Store, clock: &ManualClock, id: u64, outcome: RunOutcome) {
        let Some(held) = self.held.remove(&id) else {
            return;
        };
        let finished = FinishedRun {
            id,
            fence: held.run.fence,
            outcome,
            output: String::new(),
            error: String::new(),
            cid: String::new(),
            // It ended, at the latest, when its claim did.
            duration_ms: u64::try_from(clock.now().since(held.kept_at).as_millis())
                .unwrap()
                .min(CLAIM_MS - 1),
        };
        match store.finish_run(finished).await {
            Ok(_) if outcome == RunOutcome::Ok => *self.done.entry(id).or_default() += 1,
            Ok(_) | Err(StoreError::Fenced(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Works off what there is. Whether nothing is left.
    pub(super) async fn finish_all(&mut self, store: &Store, clock: &ManualClock) -> bool {
        self.held.retain(|_, held| !held.is_dead);
        let ids: Vec<u64> = self.held.keys().copied().collect();
        for id in &ids {
            self.finish(store, clock, *id, RunOutcome::Ok).await;
        }
        clock.advance(Duration::from_millis(CLAIM_MS));
        self.claim(store, clock, 100).await;
        self.held.is_empty() && ids.is_empty()
    }

    /// What ended well was done once.
    pub(super) fn check(&self, seed: u64, job: &str, runs: &[RunSummary]) {
        for run in runs {
            let done = self.done.get(&run.id).copied().unwrap_or(0);
            let expected = u32::from(run.outcome == RunOutcome::Ok);
            assert_eq!(done, expected, "seed {seed}, job {job}, run {run:?}");
        }
    }
}

fn is_alive(held: &Held, clock: &ManualClock) -> bool {
    !held.is_dead && clock.now().since(held.kept_at) < Duration::from_millis(CLAIM_MS)
}

fn pick(ids: &[u64], random: &ManualRandom) -> Option<u64> {
    let place = usize::try_from(random.below(u64::try_from(ids.len()).unwrap())).unwrap();
    ids.get(place).copied()
}
