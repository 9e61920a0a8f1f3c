//! The tests on the pair of clusters.

use std::net::Ipv4Addr;

use serde_json::Value;
use tenon_tests::harness::{PATIENCE, wait_for};
use tenon_tests::proxies::{Kind, Proxy};

use super::pair::{Pair, of_cluster, until_all, until_all_of};
use super::traffic::{Traffic, ask_from};

/// A client of the proxies.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
/// Somebody whose word nobody believes.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 8);

/// What a client might say to seem somebody else.
const LIES: &str = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 127.0.0.1\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n\
    X_Forwarded_For: 6.6.6.6\r\nX-Tenon-Client-Cert-Verified: evil\r\nX-Tenon-Client-Cert-Subject: evil\r\nX-Tenon-Cid: evil\r\n\
    X_Tenon_Client_Cert_Fingerprint: evil\r\n";

/// What the service was told of a request.
#[track_caller]
fn who(source: Ipv4Addr, port: u16, fields: &str) -> Value {
    let answer = ask_from(source, port, "/ext/who", fields).expect("it is answered");
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

pub(super) fn the_client_s_address_is_kept_through_every_proxy(pair: &Pair) {
    for kind in Kind::ALL {
        for (setup, addresses) in [("servers", pair.servers()), ("load-balancer", pair.load_balancer())] {
            let proxy = Proxy::start(kind, setup, &addresses);
            for (fields, what) in [("", "without lies"), (LIES, "with lies")] {
                let told = who(CLIENT, proxy.port, fields);
                assert_eq!(told["remote"], "127.0.0.9", "{kind:?} {setup} {what}: {told}");
                let seen = told["seen"].to_string();
                assert!(
                    !seen.contains("6.6.6.6") && !seen.contains("evil"),
                    "{kind:?} {setup} {what}: {seen}"
                );
                assert_eq!(
                    told["seen"]["HTTP_X_FORWARDED_PROTO"], "http",
                    "{kind:?} {setup}: {seen}"
                );
                let chain = told["seen"]["HTTP_X_FORWARDED_FOR"].as_str().unwrap_or_default();
                assert!(chain.starts_with("127.0.0.9"), "{kind:?} {setup}: {seen}");
                let forwarded = told["seen"]["HTTP_FORWARDED"].as_str().unwrap_or_default();
                // Traefik does not know this field; our load balancer adds it.
                let is_said = (kind == Kind::Traefik) || forwarded.starts_with("for=127.0.0.9");
                assert!(is_said, "{kind:?} {setup}: {seen}");
            }
        }
    }
}

pub(super) fn strangers_are_not_believed(pair: &Pair) {
    let server = pair.a.port() + 10;
    for port in [server, pair.a.port()] {
        assert_eq!(who(STRANGER, port, LIES)["remote"], "127.0.0.8");
        let told = |fields| who(Ipv4Addr::LOCALHOST, port, fields)["remote"].clone();
        assert_eq!(told("X-Forwarded-For: 127.0.0.9\r\n"), "127.0.0.9");
        // Of a list, what the last one who is not trusted said himself is not believed.
        assert_eq!(told("X-Forwarded-For: 6.6.6.6, 127.0.0.9\r\n"), "127.0.0.9");
        assert_eq!(
            told("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 127.0.0.9, 127.0.0.1\r\n"),
            "127.0.0.9"
        );
        assert_eq!(told(""), "127.0.0.1");
    }
    let told = who(Ipv4Addr::LOCALHOST, server, "Forwarded: for=6.6.6.6, for=127.0.0.9\r\n");
    assert_eq!(told["remote"], "127.0.0.9");
}

pub(super) fn claim_14_an_external_balancer_replaces_the_built_in_one(pair: &Pair) {
    let load_balancer = pair.a.path().join("load-balancer");
    let load_balancer = load_balancer.to_string_lossy();
    pair.a.tenon_ok(&["stop", &load_balancer]);
    assert!(pair.a.client.get(&pair.a.url("/tenon/ping")).is_err());
    let proxy = Proxy::start(Kind::Nginx, "servers", &pair.servers());
    assert_eq!(pair.a.client.get(&proxy.url("/tenon/ping")).unwrap().status, 200);
    assert_eq!(who(CLIENT, proxy.port, LIES)["remote"], "127.0.0.9");
    assert_eq!(who(STRANGER, pair.a.port() + 10, LIES)["remote"], "127.0.0.8");
    pair.a.tenon_ok(&["start", &load_balancer]);
    pair.a.wait_for_status(&pair.a.url("/tenon/ping"), 200);
}

pub(super) fn claim_30_a_server_says_that_it_is_not_ready_before_it_stops_to_serve(pair: &Pair) {
    for path in ["/tenon/live", "/tenon/ready", "/tenon/ping"] {
        let answer = pair.a.client.get(&pair.a.server_url(1, path)).unwrap();
        assert_eq!(
            (answer.status, answer.json()["is_ok"].as_bool()),
            (200, Some(true)),
            "{path}"
        );
    }
    let proxies = Kind::ALL.map(|kind| Proxy::start(kind, "servers", &pair.servers()));
    let targets: Vec<(String, u16)> = proxies
        .iter()
        .map(|proxy| (format!("{:?}", proxy.kind), proxy.port))
        .collect();
    let traffic = Traffic::start(&targets, "/ext/place");
    until_all(&traffic, "both servers answer", |tally| {
        tally.answered_by("a/server1") > 20 && tally.answered_by("a/server2") > 20
    });
    let server = pair.a.path().join("server1");
    let server = server.to_string_lossy();
    let phases = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch_the_end(pair.a.port() + 10));
        pair.a.tenon_ok(&["stop", &server]);
        watching.join().expect("the server is watched")
    });
    assert_eq!(phases, ["ready, serves", "not ready, serves", "gone"]);
    let before = traffic.tallies();
    until_all_of(&traffic, "the other server answers", |name, tally| {
        tally.answered_by("a/server2") > before[name].answered_by("a/server2") + 20
    });
    pair.a.tenon_ok(&["start", &server]);
    let before = traffic.tallies();
    until_all_of(&traffic, "the server that is back answers", |name, tally| {
        tally.answered_by("a/server1") > before[name].answered_by("a/server1") + 20
    });
    for (name, tally) in traffic.stop() {
        assert!(tally.failed.is_empty(), "{name}: {:?}", tally.failed);
        // Without active checks, nginx also asks a server that is starting; that one says that it has done nothing.
        assert!(
            tally.repeated == 0 || name == "Nginx",
            "{name}: {} were repeated",
            tally.repeated
        );
        assert_eq!(
            tally.unknown, 0,
            "{name}: a POST was lost on a server that was only stopped"
        );
    }
    assert_eq!(pair.done_twice(), Vec::<String>::new());
}

/// What new connections to a server find while it stops, each state once.
fn watch_the_end(port: u16) -> Vec<&'static str> {
    let mut phases: Vec<&'static str> = Vec::new();
    wait_for("the server is gone", PATIENCE, || {
        let ask = |path| ask_from(Ipv4Addr::LOCALHOST, port, path, "").map(|answer| answer.status);
        let phase = match (ask("/tenon/ready"), ask("/ext/place?id=watch")) {
            (Ok(200), Ok(200)) => "ready, serves",
            (Ok(503), Ok(200)) => "not ready, serves",
            (Err(_), Err(_)) => "gone",
            // Between the two questions it changed.
            (Ok(200 | 503), Err(_)) => return None,
            _ => "anything else",
        };
        if phases.last() != Some(&phase) {
            phases.push(phase);
        }
        (phase == "gone").then_some(())
    });
    phases
}

pub(super) fn claim_36_requests_that_follow_each_other_may_go_to_different_servers(pair: &Pair) {
    let mut places = std::collections::BTreeSet::new();
    for number in 0..20 {
        let answer = pair
            .a
            .client
            .get(&pair.a.url(&format!("/ext/place?id={number}")))
            .unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("set-cookie"), None, "nothing ties a client to a server");
        let (place, id) = answer.body.split_once(' ').unwrap();
        assert_eq!(id, number.to_string());
        places.insert(place.to_owned());
    }
    assert!(places.iter().eq(["a/server1", "a/server2"]), "{places:?}");
}

pub(super) fn claim_33_clusters_share_neither_configuration_nor_state(pair: &Pair) {
    pair.a
        .apply("rest-channel: [{name: only-a, path: /only-a, service: ext.who}]");
    assert_eq!(pair.a.client.get(&pair.a.url("/only-a")).unwrap().status, 200);
    assert_eq!(pair.b.client.get(&pair.b.url("/only-a")).unwrap().status, 404);
    pair.b.set_secret("only-b", "value");
    let secrets = |cluster: &tenon_tests::harness::Cluster| cluster.tenon_json(&["secret", "list"]).to_string();
    assert!(secrets(&pair.b).contains("only-b"));
    assert!(!secrets(&pair.a).contains("only-b"));
    let name = |cluster: &tenon_tests::harness::Cluster| cluster.tenon_json(&["status"])["cluster"].clone();
    assert_ne!(name(&pair.a), name(&pair.b));
}

pub(super) fn claim_37_each_cluster_fires_its_own_jobs(pair: &Pair) {
    for cluster in [&pair.a, &pair.b] {
        wait_for("the cluster's own scheduler fires", PATIENCE, || {
            let history = cluster.tenon_json(&["job", "history", "ext.tick"]);
            let done = history["items"].as_array()?.iter();
            (done.filter(|run| run["outcome"] == "ok").count() >= 2).then_some(())
        });
    }
}

pub(super) fn claim_09_requests_succeed_while_one_of_two_clusters_is_killed(pair: &Pair) {
    for (name, tally) in pair.killed() {
        println!(
            "{name}: {:?}, {} unknown, {} failed",
            tally.answered,
            tally.unknown,
            tally.failed.len()
        );
        assert!(tally.failed.is_empty(), "{name}: {:?}", tally.failed);
        // Each proxy had one client that sends POSTs; what it had sent may have been on its way, or on its way to the start.
        assert!(tally.unknown <= 3, "{name}: {} POSTs are unknown", tally.unknown);
    }
    assert_eq!(pair.done_twice(), Vec::<String>::new());
}

pub(super) fn claim_28_what_is_left_serves_when_a_host_is_gone(pair: &Pair) {
    for (name, tally) in pair.killed() {
        assert!(of_cluster(tally, "b") > 30, "{name}: {tally:?}");
    }
}

pub(super) fn claim_31_the_passive_cluster_takes_over_and_gives_back(pair: &Pair) {
    // That it gave back was waited for, with requests under way.
    let passive = pair
        .killed()
        .iter()
        .filter(|(name, _)| name.starts_with("active-passive"));
    assert_eq!(passive.clone().count(), Kind::ALL.len());
    for (name, tally) in passive {
        assert!(
            of_cluster(tally, "a") > 0 && of_cluster(tally, "b") > 0,
            "{name}: {tally:?}"
        );
    }
    // Clusters are made alike from each other's export.
    let file = pair.b.scratch("export.yaml");
    std::fs::write(&file, pair.a.tenon_ok(&["export"])).unwrap();
    pair.b.tenon_ok(&["apply", "-f", &file.to_string_lossy()]);
    assert_eq!(pair.b.tenon_ok(&["export"]), pair.a.tenon_ok(&["export"]));
}

pub(super) fn claim_34_requests_may_go_to_either_cluster(pair: &Pair) {
    let in_turn = pair.killed().iter().filter(|(name, _)| name.starts_with("clusters"));
    for (name, tally) in in_turn {
        assert!(
            of_cluster(tally, "a") > 30 && of_cluster(tally, "b") > 30,
            "{name}: {tally:?}"
        );
        assert!(tally.failed.is_empty(), "{name}: {:?}", tally.failed);
    }
}
