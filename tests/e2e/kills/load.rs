//! Steady requests from several clients, and how each of them ended.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::wire::{Answer, Exchange, Wire};
use crate::harness::{Cluster, Ledger};

/// How long a client repeats what it was told to repeat.
const REPEAT: Duration = Duration::from_secs(30);

/// How many clients do what; more of what takes longer, so that each kill meets some of it.
const CLIENTS: [(Kind, usize); 3] = [(Kind::Read, 2), (Kind::Slow, 6), (Kind::Insert, 4)];

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// GET of a service that answers at once.
    Read,
    /// GET of a service that takes 200 ms.
    Slow,
    /// POST to a service that writes an id into a database and answers then.
    Insert,
    /// A run of a job, ordered over the control API with the command line.
    Run,
    /// A channel, made over the control API with the command line.
    Apply,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// As if nothing had happened.
    Answered,
    /// The client had to repeat it, and knew that it could.
    Repeated,
    /// The client was told that nobody knows whether it was done.
    Unknown,
    /// Anything else.
    Failed,
}

/// Who is being killed while requests end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Phase {
    pub(super) victim: &'static str,
    pub(super) how: &'static str,
}

impl Phase {
    /// Whether the process that dies holds the clients' connections.
    fn cuts_clients(self) -> bool {
        self.victim == "load-balancer" && self.how != RESTART
    }
}

/// What is no kill: a stop and a start, as an operator would.
pub(super) const RESTART: &str = "restart";

/// Counts of a phase.
pub(super) type Tally = BTreeMap<(Kind, End), u64>;

/// What all clients share.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) inserted: Ledger,
    pub(super) ordered: Ledger,
    pub(super) applied: Ledger,
    phases: Vec<Phase>,
    phase: AtomicUsize,
    tallies: Mutex<Vec<Tally>>,
    /// What failed, in words.
    failures: Mutex<Vec<String>>,
    stop: AtomicBool,
    next_id: AtomicU64,
    port: u16,
}

impl Load {
    pub(super) fn new(cluster: &Cluster, phases: Vec<Phase>) -> Arc<Self> {
        Arc::new(Self {
            inserted: Ledger::create(&cluster.scratch("inserted")),
            ordered: Ledger::create(&cluster.scratch("ordered")),
            applied: Ledger::create(&cluster.scratch("applied")),
            tallies: Mutex::new(vec![Tally::new(); phases.len()]),
            phases,
            phase: AtomicUsize::new(0),
            failures: Mutex::default(),
            stop: AtomicBool::new(false),
            next_id: AtomicU64::new(1),
            port: cluster.port(),
        })
    }

    /// Starts the clients.
    pub(super) fn start(self: &Arc<Self>, cluster: &Arc<Cluster>) -> Vec<JoinHandle<()>> {
        let mut clients = Vec::new();
        for (kind, number) in CLIENTS {
            for _ in 0..number {
                let load = Arc::clone(self);
                clients.push(std::thread::spawn(move || load.request_until_stopped(kind)));
            }
        }
        for kind in [Kind::Run, Kind::Apply] {
            let (load, cluster) = (Arc::clone(self), Arc::clone(cluster));
            clients.push(std::thread::spawn(move || load.order_until_stopped(kind, &cluster)));
        }
        clients
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// What ends from now on belongs to this phase.
    pub(super) fn enter(&self, phase: usize) {
        self.phase.store(phase, Ordering::SeqCst);
    }

    pub(super) fn tallies(&self) -> Vec<Tally> {
        self.tallies.lock().unwrap().clone()
    }

    pub(super) fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap().clone()
    }

    /// How many requests ended in this phase so far.
    pub(super) fn ended(&self, phase: usize) -> u64 {
        self.tallies.lock().unwrap()[phase].values().sum()
    }

    fn phase(&self) -> Phase {
        self.phases[self.phase.load(Ordering::SeqCst)]
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn request_until_stopped(&self, kind: Kind) {
        let mut wire = Wire::new(self.port);
        while !self.is_stopped() {
            let (method, path, id) = match kind {
                Kind::Read => ("GET", "/kills/read", String::new()),
                Kind::Slow => ("GET", "/kills/slow", String::new()),
                Kind::Insert | Kind::Run | Kind::Apply => {
                    let id = self.next_id.fetch_add(1, Ordering::SeqCst);
                    ("POST", "/kills/entries", format!("entry-{id}"))
                }
            };
            let body = if id.is_empty() {
                String::new()
            } else {
                format!(r#"{{"id":"{id}"}}"#)
            };
            let started = Instant::now();
            let mut repeated = false;
            let end = loop {
                match self.judge(kind, wire.exchange(method, path, &body), &id) {
                    Verdict::Repeat if started.elapsed() < REPEAT => {
                        repeated = true;
                        std::thread::sleep(Duration::from_millis(50));
                    }
                    Verdict::Repeat => break (End::Failed, "it was told to repeat for too long".to_owned()),
                    Verdict::Ends(End::Answered, _) if repeated => break (End::Repeated, String::new()),
                    Verdict::Ends(end, why) => break (end, why),
                }
            };
            self.note(kind, end.0, &format!("{} after {:?}", end.1, started.elapsed()));
            std::thread::sleep(Duration::from_millis(15));
        }
    }

    /// What one exchange means by the rules that clients can rely on.
    fn judge(&self, kind: Kind, exchange: Exchange, id: &str) -> Verdict {
        let ends = |end, why: String| Verdict::Ends(end, why);
        match exchange {
            Exchange::Answer(answer) if answer.status == 200 => {
                let is_right = if kind == Kind::Insert {
                    answer.body.contains(id)
                } else {
                    answer.body.contains("true")
                };
                if !is_right {
                    return ends(End::Failed, format!("a wrong answer: {answer:?}"));
                }
                if kind == Kind::Insert {
                    self.inserted.acknowledged(id);
                }
                ends(End::Answered, String::new())
            }
            Exchange::Answer(answer) if is_repeatable(&answer) => Verdict::Repeat,
            Exchange::Answer(answer) if answer.outcome == "unknown" && kind == Kind::Insert => {
                ends(End::Unknown, String::new())
            }
            // Whoever could have had it was killed; what changes nothing may be asked again.
            Exchange::Answer(answer) if answer.outcome == "unknown" && self.phase().victim == "servers" => {
                Verdict::Repeat
            }
            Exchange::Answer(answer) => ends(End::Failed, format!("{answer:?}")),
            Exchange::NotConnected(error) => ends(End::Failed, format!("not connected: {error}")),
            // The load balancer itself was killed with the request in its hands; nobody could tell the client.
            Exchange::Lost(_) if self.phase().cuts_clients() => {
                if kind == Kind::Insert {
                    ends(End::Unknown, String::new())
                } else {
                    Verdict::Repeat
                }
            }
            Exchange::Lost(error) => ends(End::Failed, format!("the connection was lost: {error}")),
        }
    }

    fn order_until_stopped(&self, kind: Kind, cluster: &Cluster) {
        let mut number = 0;
        while !self.is_stopped() {
            let started = Instant::now();
            let mut repeated = false;
            number += 1;
            let (end, why) = loop {
                let verdict = match kind {
                    Kind::Apply => self.apply(cluster, number),
                    _ => self.order(cluster),
                };
                match verdict {
                    Verdict::Repeat if started.elapsed() < REPEAT => {
                        repeated = true;
                        std::thread::sleep(Duration::from_millis(100));
                    }
                    Verdict::Repeat => break (End::Failed, "it was told to repeat for too long".to_owned()),
                    Verdict::Ends(End::Answered, _) if repeated => break (End::Repeated, String::new()),
                    Verdict::Ends(end, why) => break (end, why),
                }
            };
            self.note(kind, end, &format!("{why} after {:?}", started.elapsed()));
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    fn order(&self, cluster: &Cluster) -> Verdict {
        let verdict = control(cluster, &["job", "run", "kills.manual", "--output", "json"]);
        if let Verdict::Ends(End::Answered, printed) = &verdict {
            let run: Value = serde_json::from_str(printed).expect("a run is JSON");
            self.ordered.acknowledged(&run["id"].to_string());
        }
        verdict
    }

    fn apply(&self, cluster: &Cluster, number: u64) -> Verdict {
        let file = cluster.scratch("applied.yaml");
        let channel = format!("{{name: kills.made-{number}, path: /kills/made/{number}, service: kills.read}}");
        std::fs::write(&file, format!("rest-channel:\n  - {channel}\n")).expect("the test's directory can be written");
        match control(cluster, &["apply", "-f", &file.to_string_lossy()]) {
            Verdict::Ends(End::Answered, printed) => {
                self.applied.acknowledged(&number.to_string());
                Verdict::Ends(End::Answered, printed)
            }
            // Applying twice is applying once.
            Verdict::Ends(End::Unknown, _) => Verdict::Repeat,
            other => other,
        }
    }

    fn note(&self, kind: Kind, end: End, why: &str) {
        let phase = self.phase.load(Ordering::SeqCst);
        *self.tallies.lock().unwrap()[phase].entry((kind, end)).or_default() += 1;
        if end == End::Failed {
            let Phase { victim, how } = self.phases[phase];
            let failure = format!("{how} {victim}: {kind:?} {why}");
            println!("{failure}");
            self.failures.lock().unwrap().push(failure);
        }
    }
}

enum Verdict {
    Ends(End, String),
    /// The client was told that nothing was done.
    Repeat,
}

/// Gives an order with the command line; how that ended is told by its exit code.
fn control(cluster: &Cluster, arguments: &[&str]) -> Verdict {
    let output = cluster.tenon(arguments);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() {
        Some(0) => Verdict::Ends(End::Answered, printed),
        // Nobody could be reached, or nothing was changed.
        Some(42) => Verdict::Repeat,
        // It may have been done.
        Some(43) => Verdict::Ends(End::Unknown, said),
        code => Verdict::Ends(End::Failed, format!("tenon {arguments:?} ended with {code:?}: {said}")),
    }
}

/// Whether the cluster says that nothing was done with the request.
fn is_repeatable(answer: &Answer) -> bool {
    answer.status == 503 && matches!(answer.outcome.as_str(), "not-sent" | "not-run")
}
