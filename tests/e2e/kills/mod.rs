//! `kill -9` and `kill -STOP` of every component in turn, under requests: everything comes back by itself, every request ends as
//! answered, safely repeated or explicitly unknown, and what was acknowledged is there, once.
//!
//! One test, one cluster: what one kill leaves behind, the next one meets.

mod load;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Cluster, ClusterOptions, PATIENCE, send_signal, wait_for, workers_of};
use load::{End, Kind, Load, Phase, RESTART, Tally};

const SERVICES: &str = r"
import time
from tenon import Service

class Read(Service):
    name = 'kills.read'
    def handle(self):
        self.response.payload = {'ok': True}

class Slow(Service):
    name = 'kills.slow'
    def handle(self):
        time.sleep(0.2)
        self.response.payload = {'ok': True}

class Entries(Service):
    name = 'kills.entries'
    def handle_POST(self):
        id = self.request.payload['id']
        time.sleep(0.02)
        self.out.sql['Kills'].execute('INSERT INTO entry (id) VALUES (:id)', {'id': id})
        time.sleep(0.02)
        self.response.payload = {'id': id}
    def handle_GET(self):
        rows = self.out.sql['Kills'].all('SELECT id FROM entry')
        self.response.payload = [row['id'] for row in rows]
    def handle_PUT(self):
        self.out.sql['Kills'].execute('CREATE TABLE IF NOT EXISTS entry (id TEXT NOT NULL)')
        self.response.payload = {'ok': True}

class Tick(Service):
    name = 'kills.tick'
    def handle(self):
        self.response.payload = {'ok': True}
";

const MANIFEST: &str = r"
rest-channel:
  - {name: kills.read, path: /kills/read, service: kills.read}
  - {name: kills.slow, path: /kills/slow, service: kills.slow}
  - {name: kills.entries, path: /kills/entries, service: kills.entries}
sql-outgoing:
  - {name: Kills, url: 'sqlite:DATABASE', rows_max: 1000000}
job:
  - {name: kills.tick, service: kills.tick, every: 1s}
  - {name: kills.manual, service: kills.tick, every: 1d}
";

/// How long requests run before a kill and after everything is back.
const CALM: Duration = Duration::from_millis(1_500);

/// What is done to whom. All servers at once is the worst that can happen to a request, and the rest of it has to wait.
const PHASES: [(&str, &[&str]); 3] = [
    (
        "KILL",
        &[
            "store",
            "server1",
            "scheduler",
            "dashboard",
            "load-balancer",
            "supervisor",
            "worker",
            "servers",
        ],
    ),
    (
        "STOP",
        &[
            "store",
            "server1",
            "scheduler",
            "dashboard",
            "load-balancer",
            "supervisor",
            "worker",
            "servers",
        ],
    ),
    (
        RESTART,
        &["store", "server1", "scheduler", "dashboard", "load-balancer"],
    ),
];

/// Processes that get requests: when they are killed, one that is not idempotent may end as unknown.
const GET_REQUESTS: [&str; 4] = ["server1", "servers", "worker", "load-balancer"];

#[test]
fn killed_components_come_back_and_nothing_acknowledged_is_lost() {
    let cluster = Arc::new(start_cluster());
    let phase = |how, victims: &[&'static str]| victims.iter().map(move |victim| Phase { victim, how }).collect();
    let phases: Vec<Phase> = PHASES
        .iter()
        .flat_map(|(how, victims)| -> Vec<Phase> { phase(*how, victims) })
        .collect();
    let load = Load::new(&cluster, phases.clone());
    let clients = load.start(&cluster);
    let mut rows = Vec::new();
    for (index, phase) in phases.iter().enumerate() {
        load.enter(index);
        let log = Logs::from_here(&cluster);
        wait_for_requests(&load, index, 50);
        std::thread::sleep(CALM);
        let took = bring_down_and_wait(&cluster, *phase);
        std::thread::sleep(CALM);
        rows.push((took, log.retried()));
    }
    load.stop();
    for client in clients {
        client.join().unwrap();
    }

    let tallies = load.tallies();
    print_table(&phases, &tallies, &rows);
    let failures = load.failures();
    assert!(failures.is_empty(), "{} requests failed, see above", failures.len());
    for (phase, tally) in phases.iter().zip(&tallies) {
        let allowed = phase.how != RESTART && GET_REQUESTS.contains(&phase.victim);
        let unknown = count(tally, &[Kind::Insert], End::Unknown);
        assert!(
            allowed || unknown == 0,
            "{phase:?}: {unknown} outcomes are unknown for no reason"
        );
    }
    check_channels(&cluster, &load);
    check_entries(&cluster, &load);
    check_runs(&cluster, &load);
}

#[test]
fn without_the_store_servers_serve_what_they_know_even_through_a_new_load_balancer() {
    let cluster = Cluster::with(ClusterOptions {
        servers: 2,
        ..ClusterOptions::default()
    });
    let hello = cluster.url("/demo/hello?name=Ada");
    let serves = |when: &str| {
        for _ in 0..20 {
            let answer = cluster.client.get(&hello).unwrap();
            assert_eq!(answer.status, 200, "{when}: {answer:?}");
        }
    };
    serves("in the beginning");
    let store = cluster.path().join("store");
    cluster.tenon_ok(&["stop", &store.to_string_lossy()]);
    wait_for("no server calls itself ready", PATIENCE, || {
        let ready = |name| cluster.component(name)["ready"] == true;
        let any = ready("server1") || ready("server2");
        serves("while the servers notice");
        (!any).then_some(())
    });
    serves("without the store");
    let before = cluster.pid("load-balancer");
    cluster.signal("load-balancer", Signal::KILL);
    wait_for("another load balancer", PATIENCE, || {
        let now = cluster.component("load-balancer")["pid"].as_u64();
        now.is_some_and(|now| now != u64::from(before)).then_some(())
    });
    serves("through a load balancer that has seen no server ready");
    cluster.tenon_ok(&["start", &store.to_string_lossy()]);
    cluster.wait_ready();
    serves("in the end");
}

fn start_cluster() -> Cluster {
    let cluster = Cluster::with(ClusterOptions {
        servers: 2,
        start: false,
        ..ClusterOptions::default()
    });
    // By default a component may be silent for 10 s; the test would take minutes.
    edit(&cluster.path().join("environment.toml"), |text| {
        let text = text.replace("hang_timeout = \"10s\"", "hang_timeout = \"5s\"");
        text.replace("size_bytes_max = 10485760", "size_bytes_max = 1048576000")
    });
    for server in ["server1", "server2"] {
        edit(&cluster.path().join(server).join("component.toml"), |text| {
            text + "\n[limits.workers]\nping_timeout = \"5s\"\n"
        });
    }
    let database = cluster.scratch("kills.sqlite");
    cluster.write_service("kills.py", SERVICES);
    cluster.write_manifest("kills.yaml", &MANIFEST.replace("DATABASE", &database.to_string_lossy()));
    cluster.start_all();
    wait_for("the services are deployed", PATIENCE, || {
        let made = cluster.client.put(&cluster.url("/kills/entries"), b"{}").ok()?;
        let read = cluster.client.get(&cluster.url("/kills/read")).ok()?;
        (made.status == 200 && read.status == 200).then_some(())
    });
    cluster
}

fn edit(path: &Path, change: impl FnOnce(String) -> String) {
    let before = std::fs::read_to_string(path).unwrap();
    let after = change(before.clone());
    assert_ne!(before, after, "{} is not as the test knows it", path.display());
    std::fs::write(path, after).unwrap();
}

fn wait_for_requests(load: &Load, phase: usize, least: u64) {
    wait_for("requests are answered", PATIENCE, || {
        (load.ended(phase) >= least).then_some(())
    });
}

/// Does it, and waits until everything is ready again; how long that took.
fn bring_down_and_wait(cluster: &Cluster, phase: Phase) -> Duration {
    let Phase { victim, how } = phase;
    let before = processes(cluster, victim);
    // Of the workers one: the other one serves meanwhile.
    let pids = if victim == "worker" { &before[..1] } else { &before[..] };
    assert!(!pids.is_empty(), "{victim} does not run");
    println!("{how} {victim} {pids:?}");
    let started = Instant::now();
    let signal = match how {
        RESTART => {
            cluster.tenon_ok(&["restart", &cluster.path().join(victim).to_string_lossy()]);
            None
        }
        "STOP" => Some(Signal::STOP),
        _ => Some(Signal::KILL),
    };
    for pid in pids {
        if let Some(signal) = signal {
            send_signal(*pid, signal);
        }
    }
    wait_for("other processes in their place, and all ready", PATIENCE, || {
        let now = processes(cluster, victim);
        let replaced = now.len() == before.len() && !now.iter().any(|pid| pids.contains(pid));
        (replaced && all_ready(cluster)).then_some(())
    });
    started.elapsed()
}

/// The processes that go by this name.
fn processes(cluster: &Cluster, victim: &str) -> Vec<u32> {
    let of = |name: &str| {
        cluster.component(name)["pid"]
            .as_u64()
            .and_then(|pid| u32::try_from(pid).ok())
    };
    match victim {
        "supervisor" => {
            let pid = std::fs::read_to_string(cluster.path().join("run/supervisor.pid")).unwrap_or_default();
            pid.trim().parse().into_iter().collect()
        }
        "worker" => {
            let workers = of("server2").into_iter().flat_map(workers_of);
            workers.map(|(pid, _)| pid).collect()
        }
        "servers" => ["server1", "server2"].into_iter().filter_map(of).collect(),
        name => of(name).into_iter().collect(),
    }
}

fn all_ready(cluster: &Cluster) -> bool {
    let status = cluster.tenon_json(&["status"]);
    let components = status["components"].as_array().expect("status lists components");
    components.iter().all(|component| component["ready"] == true)
}

/// Logs from a certain moment on: a client can't see what was repeated for it.
struct Logs(Vec<(std::path::PathBuf, usize)>);

impl Logs {
    fn from_here(cluster: &Cluster) -> Self {
        let names = ["load-balancer", "server1", "server2"].into_iter();
        let files = names.map(|name| cluster.path().join(name).join("logs").join(format!("{name}.log")));
        Self(
            files
                .map(|file| (file.clone(), std::fs::read(&file).unwrap().len()))
                .collect(),
        )
    }

    /// How many requests were sent to a second server, or were run again by a second worker.
    fn retried(&self) -> u64 {
        let of_line = |line: &str| {
            let by_balancer = line.contains(" access: ") && line.contains("status=200") && !line.contains(" retries=0");
            let by_server = line.contains("is run again");
            u64::from(by_balancer || by_server)
        };
        let text = |(path, from): &(std::path::PathBuf, usize)| {
            let log = std::fs::read(path).unwrap();
            String::from_utf8_lossy(log.get(*from..).unwrap_or_default()).into_owned()
        };
        self.0
            .iter()
            .map(|log| text(log).lines().map(of_line).sum::<u64>())
            .sum()
    }
}

fn count(tally: &Tally, kinds: &[Kind], end: End) -> u64 {
    kinds.iter().filter_map(|kind| tally.get(&(*kind, end))).sum()
}

fn print_table(phases: &[Phase], tallies: &[Tally], rows: &[(Duration, u64)]) {
    const ALL: [Kind; 5] = [Kind::Read, Kind::Slow, Kind::Insert, Kind::Run, Kind::Apply];
    println!(
        "\n{:<7} {:<13} {:>9} {:>9} {:>9} {:>14} {:>12} {:>7}",
        "kill", "of", "back s", "answered", "retried", "unknown insert", "unknown run", "failed"
    );
    for ((phase, tally), (took, balanced)) in phases.iter().zip(tallies).zip(rows) {
        let retried = count(tally, &ALL, End::Repeated) + balanced;
        println!(
            "{:<7} {:<13} {:>9.1} {:>9} {:>9} {:>14} {:>12} {:>7}",
            phase.how,
            phase.victim,
            took.as_secs_f64(),
            count(tally, &ALL, End::Answered).saturating_sub(*balanced),
            retried,
            count(tally, &[Kind::Insert], End::Unknown),
            count(tally, &[Kind::Run], End::Unknown),
            count(tally, &ALL, End::Failed),
        );
    }
}

/// Every channel that was acknowledged serves.
fn check_channels(cluster: &Cluster, load: &Load) {
    let applied = load.applied.read();
    assert!(!applied.is_empty());
    for number in &applied {
        let url = cluster.url(&format!("/kills/made/{number}"));
        assert_eq!(cluster.client.get(&url).unwrap().status, 200, "{url}");
    }
    println!("{} channels acknowledged, all serve", applied.len());
}

/// Every acknowledged entry is in the database, and none is there twice.
fn check_entries(cluster: &Cluster, load: &Load) {
    let answer = cluster.client.get(&cluster.url("/kills/entries")).unwrap();
    let rows: Vec<String> = serde_json::from_value(answer.json()).unwrap();
    let mut found: BTreeMap<&str, u32> = BTreeMap::new();
    for id in &rows {
        *found.entry(id).or_default() += 1;
    }
    let acknowledged = load.inserted.read();
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|id| !found.contains_key(id.as_str()))
        .collect();
    let twice: Vec<_> = found.iter().filter(|(_, times)| **times > 1).collect();
    println!("{} entries acknowledged, {} found", acknowledged.len(), found.len());
    assert!(!acknowledged.is_empty());
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(twice.is_empty(), "written twice: {twice:?}");
}

/// Every acknowledged run of a job is there and has ended; no planned instant is lost or has two runs.
fn check_runs(cluster: &Cluster, load: &Load) {
    let ordered: BTreeSet<String> = load.ordered.read().into_iter().collect();
    assert!(!ordered.is_empty());
    wait_for("every ordered run has ended", PATIENCE, || {
        let history = cluster.tenon_json(&["job", "history", "kills.manual", "--limit", "1000"]);
        let runs = history["items"].as_array().expect("a history has items");
        let is_over = |run: &&Value| !matches!(run["outcome"].as_str(), Some("waiting" | "running"));
        let ended: BTreeSet<String> = runs.iter().filter(is_over).map(|run| run["id"].to_string()).collect();
        let missing: Vec<_> = ordered.difference(&ended).collect();
        missing.is_empty().then_some(())
    });
    println!("{} runs ordered, all found", ordered.len());
    let ledgers = cluster.tenon_json(&["job", "verify"]);
    for ledger in ledgers.as_array().expect("there is a ledger for each job") {
        println!("{ledger}");
        for wrong in ["duplicates", "overlapping_attempts", "lost"] {
            assert_eq!(ledger[wrong], 0, "{wrong}: {ledger}");
        }
    }
}
