//! The clients: some ask at a rate, whatever becomes of their requests; others wait for each answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::kind::{Kind, Via};
use super::ledger::{End, Entry, Ledger};
use super::plan::Plan;
use super::pool::Pool;
use super::request::Request;
use super::verdict::{Circumstances, Seen, Step, judge};
use super::weather::{Dying, Weather};

/// Between two attempts of a client.
const REPEAT_PAUSE: Duration = Duration::from_millis(100);

/// How often a client asks that waits for each answer, as long as answers are quick.
const STEADY_INTERVAL: Duration = Duration::from_millis(100);

/// A generator at work.
#[derive(Debug)]
pub struct Load {
    ledger: Arc<Ledger>,
    weather: Arc<Weather>,
    stop: CancellationToken,
    thread: JoinHandle<()>,
}

/// What all clients share.
struct Clients {
    plan: Plan,
    pool: Pool,
    ledger: Arc<Ledger>,
    weather: Arc<Weather>,
    stop: CancellationToken,
    next_id: AtomicU64,
}

impl Load {
    /// Starts the clients.
    pub fn start(plan: Plan) -> anyhow::Result<Self> {
        let (ledger, weather, stop) = (Arc::default(), Arc::default(), CancellationToken::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let clients = Arc::new(Clients {
            pool: Pool::new(plan.http_port, plan.https_port)?,
            plan,
            ledger: Arc::clone(&ledger),
            weather: Arc::clone(&weather),
            stop: stop.clone(),
            next_id: AtomicU64::new(1),
        });
        let thread = std::thread::Builder::new()
            .name("load".to_owned())
            .spawn(move || runtime.block_on(clients.run()))?;
        Ok(Self {
            ledger,
            weather,
            stop,
            thread,
        })
    }

    /// What has ended so far.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Who is being killed; said by whoever does it.
    pub fn weather(&self) -> &Weather {
        &self.weather
    }

    /// Asks no more, waits for what is under way, and gives back how everything ended.
    pub fn stop(self) -> anyhow::Result<Arc<Ledger>> {
        self.stop.cancel();
        if self.thread.join().is_err() {
            anyhow::bail!("the load generator panicked");
        }
        Ok(self.ledger)
    }
}

impl Clients {
    async fn run(self: Arc<Self>) {
        let tasks = TaskTracker::new();
        let slow = self.plan.slow;
        let closed = [
            (Kind::SlowHead, slow.heads),
            (Kind::SlowBody, slow.bodies),
            (Kind::SlowReader, slow.readers),
            (Kind::Get, self.plan.steady),
            (Kind::Post, self.plan.steady),
        ];
        for (kind, number) in closed {
            for index in 0..number {
                // Pieces of a head are no idea of HTTP/2.
                let ways: Vec<Via> = self.plan.ways().iter().copied().filter(|via| *via != Via::H2).collect();
                let via = ways[index as usize % ways.len()];
                tasks.spawn(Arc::clone(&self).ask_and_wait(kind, via));
            }
        }
        self.keep_rate(&tasks).await;
        self.stop.cancelled().await;
        tasks.close();
        tasks.wait().await;
    }

    /// Sends requests when they are due.
    async fn keep_rate(self: &Arc<Self>, tasks: &TaskTracker) {
        let plan = &self.plan;
        let mut chance = StdRng::seed_from_u64(plan.seed);
        let room = Arc::new(Semaphore::new(plan.in_flight_max));
        let start = Instant::now();
        for number in 0..plan.requests_max {
            let due = start + Duration::from_micros(number * 1_000_000 / u64::from(plan.rate.max(1)));
            let next = async {
                tokio::time::sleep_until(due.into()).await;
                Arc::clone(&room).acquire_owned().await
            };
            let permit = tokio::select! {
                () = self.stop.cancelled() => return,
                permit = next => permit,
            };
            let kind = draw(&mut chance);
            let ways = plan.ways();
            let via = ways[chance.random_range(0..ways.len())];
            let clients = Arc::clone(self);
            tasks.spawn(async move {
                clients.ask(kind, via, due, None).await;
                drop(permit);
            });
        }
    }

    /// Sends a request after each answer.
    async fn ask_and_wait(self: Arc<Self>, kind: Kind, via: Via) {
        while !self.stop.is_cancelled() {
            let due = Instant::now();
            self.ask(kind, via, due, Some(STEADY_INTERVAL)).await;
            let next = due + STEADY_INTERVAL;
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep_until(next.into()) => {}
            }
        }
    }

    /// Sends a request, again if it may, and writes down how it ended.
    async fn ask(&self, kind: Kind, via: Via, due: Instant, interval: Option<Duration>) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let request = Request::new(kind, id, &self.plan.path);
        let first = Instant::now();
        let mut repeats = 0;
        let mut reason = String::new();
        let (end, why, cid) = loop {
            let (step, cid) = self.attempt(via, &request).await;
            match step {
                Step::Ends(End::Answered, _) if repeats > 0 => break (End::Retried, reason, cid),
                Step::Ends(end, why) => break (end, why, cid),
                Step::Repeat(why) if first.elapsed() < self.plan.repeat_for => reason = why,
                Step::Repeat(why) => break (End::Failed, format!("for too long: {why}"), cid),
            }
            repeats += 1;
            tokio::time::sleep(REPEAT_PAUSE).await;
        };
        self.ledger.add(Entry {
            id,
            kind,
            via,
            due,
            ended: Instant::now(),
            repeats,
            end,
            why,
            cid,
            interval,
        });
    }

    async fn attempt(&self, via: Via, request: &Request) -> (Step, String) {
        let from = Instant::now();
        let exchange = self.pool.exchange(via, request);
        let (seen, cid) = match tokio::time::timeout(self.plan.patience, exchange).await {
            Ok(exchanged) => (exchanged.seen, exchanged.cid),
            Err(_) => (Seen::TooLate, String::new()),
        };
        let to = Instant::now();
        let circumstances = Circumstances {
            is_idempotent: !request.kind.is_recorded(),
            front_died: self.weather.had(Dying::Front, from, to),
            back_died: self.weather.had(Dying::Back, from, to),
        };
        (judge(seen, circumstances), cid)
    }
}

fn draw(chance: &mut StdRng) -> Kind {
    let mut left = chance.random_range(0..100);
    for (kind, share) in Kind::SHARES {
        if left < share {
            return kind;
        }
        left -= share;
    }
    Kind::Get
}
