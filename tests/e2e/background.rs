//! What services have done in the background is done, whoever is killed meanwhile.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::process::Signal;
use serde_json::json;

use crate::harness::{Cluster, ClusterOptions, PATIENCE, wait_for};

const SERVICES: &str = r#"
import os
import time

from tenon import Service


def note(path, line):
    with open(path, 'a') as file:
        file.write(line + '\n')


class Begin(Service):
    name = 'background.begin'

    def handle(self):
        payload = self.request.payload
        return {'cid': self.invoke_async('background.work', payload, callback='background.told', context={'file': payload['folder']})}


class FanOut(Service):
    name = 'background.fan-out'

    def handle(self):
        payload = self.request.payload
        targets = {'background.work': payload, 'background.other': payload}
        return {'cid': self.patterns.fanout.invoke(targets, on_final='background.final', on_target='background.target')}


class Work(Service):
    name = 'background.work'

    def handle(self):
        payload = self.request.payload
        time.sleep(0.02)
        note(payload['folder'] + '/worked', payload['id'])
        return {'id': payload['id'], 'folder': payload['folder']}


class Other(Work):
    name = 'background.other'

    def handle(self):
        payload = self.request.payload
        if payload.get('fails'):
            raise ValueError('as it was asked to')
        return {'id': payload['id'], 'folder': payload['folder']}


class Told(Service):
    name = 'background.told'

    def handle(self):
        message = self.request.raw_request if isinstance(self.request.raw_request, dict) else self.request.payload
        note(find(message, 'folder') + '/told', find(message, 'id'))


class Target(Told):
    name = 'background.target'

    def handle(self):
        note(find(self.request.payload, 'folder') + '/targets', find(self.request.payload, 'id'))


class Final(Told):
    name = 'background.final'

    def handle(self):
        message = self.request.payload
        oks = ','.join(str(each['is_ok']) for each in message['data'])
        note(find(message, 'folder') + '/finals', find(message, 'id') + ' ' + oks)


class Retried(Service):
    name = 'background.retried'

    def handle(self):
        payload = self.request.payload
        note(payload['folder'] + '/tries', payload['id'])
        with open(payload['folder'] + '/tries') as file:
            if len(file.readlines()) < 3:
                raise ValueError('not yet')
        return payload


class Retry(Service):
    name = 'background.retry'

    def handle(self):
        payload = self.request.payload
        return self.patterns.invoke_retry.invoke_async(
            'background.retried', payload, repeats=5, seconds=0.1, callback='background.told')


def find(value, name):
    """A value by its name, however deep it is."""
    if isinstance(value, dict):
        if name in value and isinstance(value[name], str):
            return value[name]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            found = find(each, name)
            if found:
                return found
    return None
"#;

const CHANNELS: &str = "rest-channel:
  - {name: begin, path: /begin, service: background.begin, timeout: 20s}
  - {name: fan-out, path: /fan-out, service: background.fan-out, timeout: 20s}
  - {name: retry, path: /retry, service: background.retry, timeout: 20s}
";

/// How often a server is killed.
const KILLS: usize = 4;
/// How many clients ask for work meanwhile.
const CLIENTS: usize = 4;

fn cluster() -> Cluster {
    let cluster = Cluster::with(ClusterOptions {
        servers: 2,
        ..ClusterOptions::default()
    });
    cluster.deploy(&[("background.py", SERVICES)]);
    cluster.apply(CHANNELS);
    cluster
}

/// The lines of a file that services write; none if there is no file yet.
fn lines(folder: &Path, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn set(folder: &Path, name: &str) -> BTreeSet<String> {
    lines(folder, name).into_iter().collect()
}

#[test]
fn what_was_accepted_is_done_although_servers_are_killed() {
    let cluster = cluster();
    let folder = cluster.scratch("background");
    std::fs::create_dir(&folder).unwrap();
    let (accepted, unknown) = (Mutex::new(BTreeSet::new()), AtomicU64::new(0));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (cluster, folder, accepted, unknown, stop) = (&cluster, &folder, &accepted, &unknown, &stop);
            scope.spawn(move || {
                let mut number = 0;
                while !stop.load(Ordering::SeqCst) {
                    number += 1;
                    let id = format!("{client}-{number}");
                    let path = if number % 3 == 0 { "/fan-out" } else { "/begin" };
                    let body = json!({ "id": id, "folder": folder, "fails": number % 2 == 0 });
                    match cluster.client.post_json(&cluster.url(path), &body) {
                        Ok(answer) if answer.status == 200 => drop(accepted.lock().unwrap().insert(id)),
                        _ => drop(unknown.fetch_add(1, Ordering::SeqCst)),
                    }
                }
            });
        }
        for kill in 0..KILLS {
            let before = accepted.lock().unwrap().len();
            wait_for("work is accepted", PATIENCE, || {
                (accepted.lock().unwrap().len() >= before + 40).then_some(())
            });
            cluster.signal(&format!("server{}", kill % 2 + 1), Signal::KILL);
            wait_for("work is accepted again", PATIENCE, || {
                (accepted.lock().unwrap().len() >= before + 60).then_some(())
            });
            cluster.wait_ready();
        }
        stop.store(true, Ordering::SeqCst);
    });
    let accepted = accepted.into_inner().unwrap();
    let is_fan_out = |id: &String| id.rsplit('-').next().unwrap().parse::<u64>().unwrap() % 3 == 0;
    let told: BTreeSet<String> = accepted.iter().filter(|id| !is_fan_out(id)).cloned().collect();
    let joined: BTreeSet<String> = accepted.iter().filter(|id| is_fan_out(id)).cloned().collect();
    wait_for("everything that was accepted is done and told", PATIENCE, || {
        let finals: BTreeSet<String> = lines(&folder, "finals")
            .iter()
            .filter_map(|line| line.split(' ').next().map(str::to_owned))
            .collect();
        let done = accepted.is_subset(&set(&folder, "worked"))
            && told.is_subset(&set(&folder, "told"))
            && joined.is_subset(&finals)
            && joined.is_subset(&set(&folder, "targets"));
        done.then_some(())
    });
    let worked = lines(&folder, "worked").len();
    println!(
        "{} accepted and done, {} answers unknown, {worked} times worked, {KILLS} kills",
        accepted.len(),
        unknown.load(Ordering::SeqCst)
    );
    // Twice is possible where a server died in the middle, but not as a rule.
    assert!(worked < accepted.len() * 2, "{worked} for {}", accepted.len());
    for line in lines(&folder, "finals") {
        let (id, oks) = line.split_once(' ').unwrap();
        let number: u64 = id.rsplit('-').next().unwrap().parse().unwrap();
        let expected = if number.is_multiple_of(2) {
            "True,False"
        } else {
            "True,True"
        };
        assert_eq!(oks, expected, "{id}");
    }
}

#[test]
fn what_fails_is_tried_again_in_the_background() {
    let cluster = cluster();
    let folder = cluster.scratch("retries");
    std::fs::create_dir(&folder).unwrap();
    let body = json!({ "id": "one", "folder": folder });
    let answer = cluster.client.post_json(&cluster.url("/retry"), &body).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    wait_for("it is told that it went well", PATIENCE, || {
        (lines(&folder, "told") == ["one"]).then_some(())
    });
    assert_eq!(lines(&folder, "tries"), ["one"; 3]);
    assert_eq!(answer.body.len(), 24, "the correlation id: {answer:?}");
}
