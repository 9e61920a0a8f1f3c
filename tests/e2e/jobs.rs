//! Jobs: their schedules, runs by hand, the ledger, and instants at which no server was there.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::harness::{Cluster, PATIENCE, wait_for};

const SERVICES: &str = r"
from tenon import Service

class Tick(Service):
    name = 'jobs.tick'
    def handle(self):
        return {'got': self.request.payload, 'through': self.channel.type}

class Flaky(Service):
    name = 'jobs.flaky'
    def handle(self):
        raise ValueError('it never works')
";

#[test]
fn jobs_run_by_their_schedules_and_by_hand_and_the_ledger_adds_up() {
    let cluster = Cluster::start();
    cluster.deploy(&[("jobs.py", SERVICES)]);
    let at = utc(SystemTime::now() + Duration::from_secs(4));
    cluster.apply(&format!(
        "job:
  - {{name: every, service: jobs.tick, every: 2s, payload: {{from: every}}}}
  - {{name: cron, service: jobs.tick, cron: '*/2 * * * * *'}}
  - {{name: at, service: jobs.tick, at: '{at}'}}
  - {{name: off, service: jobs.tick, every: 1s, enabled: false}}
  - {{name: flaky, service: jobs.flaky, every: 1d, retries: {{attempts: 2, delay: 1s}}}}
"
    ));
    runs_by_hand(&cluster);
    retries_what_fails(&cluster);
    for job in ["every", "cron"] {
        let runs = wait_for_runs(&cluster, job, 3);
        check_distance(&runs, 2);
        assert!(
            runs.iter().all(|run| run["manual"] == false && run["attempt"] == 1),
            "{runs:?}"
        );
    }
    let every = &wait_for_runs(&cluster, "every", 1)[0];
    let output: Value = serde_json::from_str(every["output"].as_str().unwrap()).unwrap();
    assert_eq!(output, json!({"got": {"from": "every"}, "through": "scheduler"}));
    let at_runs = wait_for_runs(&cluster, "at", 1);
    assert_eq!(at_runs.len(), 1);
    assert_eq!(at_runs[0]["planned_at"].as_str().unwrap()[..19], at[..19]);
    assert_eq!(job(&cluster, "at")["next_at"], Value::Null, "a one-time job is over");
    assert_eq!(history(&cluster, "off").len(), 1, "a job that is off runs by hand only");
    the_ledger_adds_up(&cluster);
    unknown_jobs_are_errors(&cluster);
}

#[test]
fn what_is_due_while_no_server_is_there_is_late_and_not_lost() {
    let cluster = Cluster::start();
    cluster.deploy(&[("jobs.py", SERVICES)]);
    let due = SystemTime::now() + Duration::from_secs(6);
    let at = utc(due);
    cluster.apply(&format!(
        "job:
  - {{name: at, service: jobs.tick, at: '{at}'}}
  - {{name: queued, service: jobs.tick, every: 2s, overlap: queue}}
  - {{name: skipping, service: jobs.tick, every: 2s}}
"
    ));
    cluster.tenon_ok(&["stop", "server1"]);
    wait_for("the instants have passed", PATIENCE, || {
        (SystemTime::now() > due + Duration::from_secs(3)).then_some(())
    });
    cluster.tenon_ok(&["start", "server1"]);
    let run = &wait_for_runs(&cluster, "at", 1)[0];
    assert!(run["lateness_ms"].as_u64().unwrap() >= 2_000, "{run}");
    assert_eq!(run["planned_at"].as_str().unwrap()[..19], at[..19]);
    let queued = wait_for_runs(&cluster, "queued", 3);
    check_distance(&queued, 2);
    assert!(
        queued.iter().any(|run| run["lateness_ms"].as_u64() >= Some(2_000)),
        "{queued:?}"
    );
    wait_for_runs(&cluster, "skipping", 1);
    for ledger in cluster.tenon_json(&["job", "verify"]).as_array().unwrap() {
        assert_eq!(ledger["lost"], 0, "{ledger}");
        assert_eq!(ledger["duplicates"], 0, "{ledger}");
        assert_eq!(ledger["overlapping_attempts"], 0, "{ledger}");
    }
}

fn runs_by_hand(cluster: &Cluster) {
    cluster.tenon_ok(&["job", "run", "off"]);
    let runs = wait_for_runs(cluster, "off", 1);
    assert_eq!(runs[0]["manual"], true);
}

fn retries_what_fails(cluster: &Cluster) {
    cluster.tenon_ok(&["job", "run", "flaky"]);
    let run = wait_for("the run has failed", PATIENCE, || {
        let run = history(cluster, "flaky").into_iter().next()?;
        (run["outcome"] == "error").then_some(run)
    });
    assert_eq!(run["attempt"], 2, "{run}");
    assert!(run["error"].as_str().unwrap().contains("it never works"), "{run}");
}

fn the_ledger_adds_up(cluster: &Cluster) {
    for ledger in cluster.tenon_json(&["job", "verify"]).as_array().unwrap() {
        let count = |name: &str| ledger[name].as_u64().unwrap();
        assert_eq!(
            count("planned"),
            count("ran") + count("open") + count("missed_by_policy"),
            "{ledger}"
        );
        assert_eq!(
            (count("duplicates"), count("overlapping_attempts"), count("lost")),
            (0, 0, 0)
        );
    }
}

fn unknown_jobs_are_errors(cluster: &Cluster) {
    for command in ["run", "history", "verify"] {
        let output = cluster.tenon(&["job", command, "no-such-job"]);
        assert_eq!(output.status.code(), Some(44), "tenon job {command}: {output:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("no-such-job"),
            "{output:?}"
        );
    }
}

fn job(cluster: &Cluster, name: &str) -> Value {
    let jobs = cluster.tenon_json(&["job", "list"]);
    let found = jobs["items"].as_array().unwrap().iter().find(|job| job["name"] == name);
    found.unwrap().clone()
}

/// A job's runs, the newest first.
fn history(cluster: &Cluster, job: &str) -> Vec<Value> {
    cluster.tenon_json(&["job", "history", job])["items"]
        .as_array()
        .unwrap()
        .clone()
}

/// Waits until so many runs of a job ended well; returns all that did, the oldest first.
#[track_caller]
fn wait_for_runs(cluster: &Cluster, job: &str, least: usize) -> Vec<Value> {
    wait_for(&format!("{least} runs of {job}"), PATIENCE, || {
        let mut runs = history(cluster, job);
        runs.retain(|run| run["outcome"] == "ok");
        runs.sort_by_key(|run| run["planned_at"].as_str().map(str::to_owned));
        (runs.len() >= least).then_some(runs)
    })
}

/// Planned instants are all there, at their distance.
#[track_caller]
fn check_distance(runs: &[Value], seconds: u64) {
    let planned: Vec<u64> = runs
        .iter()
        .map(|run| seconds_of_day(run["planned_at"].as_str().unwrap()))
        .collect();
    for pair in planned.windows(2) {
        assert_eq!((pair[1] + 86_400 - pair[0]) % 86_400, seconds, "{runs:?}");
    }
}

fn seconds_of_day(instant: &str) -> u64 {
    let number = |from: usize| instant[from..from + 2].parse::<u64>().unwrap();
    number(11) * 3600 + number(14) * 60 + number(17)
}

/// An instant in whole seconds of UTC, as jobs take it.
fn utc(instant: SystemTime) -> String {
    let seconds = instant.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let output = Command::new("date")
        .args(["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%dT%H:%M:%SZ"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
