//! The directory with a clock of its own.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::kinds::OperatorState;

fn server(name: &str, weight: u32, state: ServerState) -> Server {
    Server {
        name: name.into(),
        endpoint: Endpoint::Tcp(format!("{name}:1")),
        weight,
        state,
    }
}

/// A directory of servers that are ready, of these weights.
fn directory(servers: &[(&str, u32)], config: Value, now: Instant) -> Directory {
    let directory = Directory::new(2, Duration::from_secs(10));
    let servers = servers
        .iter()
        .map(|(name, weight)| server(name, *weight, ServerState::Ready));
    directory.replace(&Upstreams {
        servers: servers.collect(),
    });
    configure(&directory, config, now);
    for upstream in directory.upstreams() {
        directory.checked(upstream.id, Some(true), now);
    }
    directory
}

fn configure(directory: &Directory, config: Value, now: Instant) {
    directory.configure(&serde_json::from_value(config).unwrap(), now);
}

/// Who gets so many requests, each of which is answered before the next comes.
fn picks(directory: &Directory, count: usize) -> Vec<String> {
    let turn = AtomicUsize::new(0);
    let table = directory.table();
    (0..count)
        .filter_map(|_| match table.pick(&turn, &[]) {
            Pick::Server(place) => Some(place.upstream().name.clone()),
            _ => None,
        })
        .collect()
}

fn id(directory: &Directory, name: &str) -> u64 {
    let upstreams = directory.upstreams();
    upstreams.iter().find(|upstream| upstream.name == name).unwrap().id
}

#[test]
fn a_server_that_answers_requests_but_no_checks_is_not_taken_for_dead() {
    let now = Instant::now();
    let directory = directory(&[("a", 1)], json!({}), now);
    let upstream = directory.upstreams().remove(0);
    for _ in 0..5 {
        upstream.answered(200, 10);
        directory.checked(upstream.id, None, now);
        assert_eq!(directory.health(upstream.id), Some(Health::Suspect));
    }
    directory.checked(upstream.id, None, now);
    assert_eq!(directory.health(upstream.id), Some(Health::Dead));
}

#[test]
fn requests_go_round_the_ready_servers_by_weight() {
    let now = Instant::now();
    let directory = Directory::new(2, Duration::ZERO);
    directory.replace(&Upstreams {
        servers: vec![
            server("a", 4, ServerState::Ready),
            server("b", 2, ServerState::Ready),
            server("c", 1, ServerState::NotReady),
        ],
    });
    let nobody = Vec::<String>::new();
    assert_eq!(picks(&directory, 1), nobody, "nobody is known to be alive yet");
    for upstream in directory.upstreams() {
        directory.checked(upstream.id, Some(true), now);
    }
    assert_eq!(picks(&directory, 6), ["a", "b", "a", "a", "b", "a"]);
}

#[test]
fn without_a_ready_server_those_alive_are_used_and_draining_ones_never() {
    let now = Instant::now();
    let directory = Directory::new(2, Duration::ZERO);
    directory.replace(&Upstreams {
        servers: vec![
            server("a", 1, ServerState::NotReady),
            server("b", 1, ServerState::Ready),
            server("c", 1, ServerState::Draining),
        ],
    });
    let ids: Vec<u64> = directory.upstreams().iter().map(|upstream| upstream.id).collect();
    directory.checked(ids[0], Some(true), now);
    directory.checked(ids[1], None, now);
    directory.checked(ids[2], Some(true), now);
    assert_eq!(picks(&directory, 4), ["a", "b", "a", "b"]);
    directory.checked(ids[1], None, now);
    assert_eq!(picks(&directory, 2), ["a", "a"]);
    directory.refused(ids[0], now);
    assert_eq!(picks(&directory, 2), Vec::<String>::new());
}

#[test]
fn the_operator_decides_on_weights_and_states() {
    let now = Instant::now();
    let directory = directory(&[("a", 1), ("b", 1), ("c", 1)], json!({}), now);
    assert_eq!(picks(&directory, 3), ["a", "b", "c"]);
    let servers = json!({"servers": [{"name": "a", "weight": 2}, {"name": "b", "state": "drain"}, {"name": "later"}]});
    configure(&directory, servers, now);
    assert_eq!(picks(&directory, 6), ["a", "c", "a", "a", "c", "a"]);
    let all = json!({"servers": [{"name": "a", "state": "maintenance"}, {"name": "b", "state": "drain"}, {"name": "c", "state": "drain"}]});
    configure(&directory, all, now);
    assert_eq!(
        picks(&directory, 1),
        Vec::<String>::new(),
        "not even for want of others"
    );
    let states: Vec<_> = directory.survey(now).iter().map(|server| server.wanted).collect();
    assert_eq!(
        states,
        [OperatorState::Maintenance, OperatorState::Drain, OperatorState::Drain]
    );
    configure(&directory, json!({}), now);
    assert_eq!(picks(&directory, 3), ["a", "b", "c"]);
}

#[test]
fn the_least_loaded_for_its_weight_is_next() {
    let now = Instant::now();
    let config = json!({"algorithm": "least-in-flight", "in_flight_per_server_max": 4,
        "servers": [{"name": "a", "weight": 3}, {"name": "b", "weight": 1}]});
    let directory = directory(&[("a", 1), ("b", 1)], config, now);
    let (turn, table) = (AtomicUsize::new(0), directory.table());
    let mut places = Vec::new();
    let mut order = String::new();
    loop {
        match table.pick(&turn, &[]) {
            Pick::Server(place) => {
                order.push_str(&place.upstream().name);
                places.push(place);
            }
            Pick::Full => break,
            Pick::Nobody => unreachable!("both are ready"),
        }
    }
    assert_eq!(order.len(), 8, "{order}");
    assert_eq!(order[..4].matches('a').count(), 3, "{order}");
    places.retain(|place| place.upstream().name == "b");
    assert_eq!(places.len(), 4);
    let Pick::Server(next) = table.pick(&turn, &[]) else {
        unreachable!("there is room");
    };
    assert_eq!(next.upstream().name, "a");
}

#[test]
fn a_server_that_fails_requests_gets_none_for_a_growing_while_but_never_the_last() {
    let mut now = Instant::now();
    let config = json!({"ejection": {"failures": 3, "window": "10s", "time": "5s", "max_percent": 50}});
    let directory = directory(&[("a", 1), ("b", 1)], config, now);
    let (a, b) = (id(&directory, "a"), id(&directory, "b"));
    let fail = |id, count: u32, now| (0..count).for_each(|_| directory.failed(id, now));
    fail(a, 2, now);
    now += Duration::from_secs(11);
    fail(a, 2, now);
    assert_eq!(picks(&directory, 2), ["a", "b"], "not within one window");
    fail(a, 1, now);
    assert_eq!(picks(&directory, 2), ["b", "b"]);
    fail(b, 100, now);
    assert_eq!(picks(&directory, 2), ["b", "b"], "the last one stays");
    assert_eq!(directory.survey(now)[0].ejected_for, Some(Duration::from_secs(5)));
    now += Duration::from_secs(5);
    directory.refresh(now);
    assert!(picks(&directory, 20).contains(&"a".to_owned()));
    now += Duration::from_secs(11);
    directory.refresh(now);
    assert_eq!(picks(&directory, 2), ["a", "b"]);
    fail(a, 3, now);
    assert_eq!(
        directory.survey(now)[0].ejected_for,
        Some(Duration::from_secs(10)),
        "longer now"
    );
    assert_eq!(directory.ejections(), 2);
    configure(&directory, json!({"ejection": {"failures": 0}}), now);
    fail(a, 100, now);
    assert_eq!(picks(&directory, 2), ["a", "b"]);
}

#[test]
fn a_few_failures_among_many_answers_are_no_reason() {
    let now = Instant::now();
    let config = json!({"ejection": {"failures": 3, "window": "10s"}});
    let directory = directory(&[("a", 1), ("b", 1)], config, now);
    let a = id(&directory, "a");
    directory.failed(a, now);
    for upstream in directory.upstreams() {
        (0..10).for_each(|_| upstream.answered(200, 1));
    }
    (0..8).for_each(|_| directory.failed(a, now));
    assert_eq!(picks(&directory, 2), ["a", "b"]);
    directory.failed(a, now);
    assert_eq!(picks(&directory, 2), ["b", "b"]);
}

#[test]
fn a_server_that_comes_back_gets_its_part_step_by_step() {
    let mut now = Instant::now();
    let directory = directory(&[("a", 1), ("b", 1)], json!({}), now);
    let a = id(&directory, "a");
    directory.refused(a, now);
    assert_eq!(picks(&directory, 2), ["b", "b"]);
    directory.checked(a, Some(true), now);
    let mut part = Vec::new();
    for _ in 0..11 {
        directory.refresh(now);
        let picked = picks(&directory, 110);
        part.push(picked.iter().filter(|name| *name == "a").count());
        now += Duration::from_secs(1);
    }
    assert_eq!(part[0], 10, "{part:?}");
    assert!(part.is_sorted() && part[10] == 55, "{part:?}");
}
