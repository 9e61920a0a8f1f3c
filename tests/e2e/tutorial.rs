//! The tutorial as its page tells it: the files of `examples/tutorial` in a cluster of two servers, with a real PostgreSQL and
//! a real HTTP server on the other side.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Answer, Client, Cluster, ClusterOptions, PATIENCE, Postgres, Stub, wait_for};

const SERVICE: &str = include_str!("../../examples/tutorial/my_service.py");
const MANIFEST: &str = include_str!("../../examples/tutorial/tutorial.yaml");
const TABLE: &str = include_str!("../../examples/tutorial/billing.sql");

const PATH: &str = "/tutorial/api/get-user-details";
const JOB: &str = "my.report.job";
const KEY: &str = "the-partner's-key";

#[test]
fn the_tutorial_works_end_to_end_and_survives_its_database() {
    let crm = crm();
    let mut billing = billing();
    let cluster = tutorial(&crm, &billing);
    let partner = cluster.client.with_header("x-api-key", KEY);

    answers_through_the_balancer_and_from_both_servers(&cluster, &partner);
    lets_nobody_in_without_the_key(&cluster);
    says_who_is_not_there(&cluster, &partner);
    runs_the_job_by_itself(&cluster);
    survives_its_database(&cluster, &partner, &mut billing);

    let ledger = &cluster.tenon_json(&["job", "verify", JOB])[0];
    assert_eq!(
        (&ledger["lost"], &ledger["duplicates"]),
        (&json!(0), &json!(0)),
        "{ledger}"
    );
}

/// What `crm.py` of the tutorial is.
fn crm() -> Stub {
    Stub::start(|first_line, _| {
        let path = first_line.split(' ').nth(1).unwrap_or_default();
        match path.strip_prefix("/get-user?name=") {
            Some("anna") => (200, json!({"name": "anna", "type": "gold"}).to_string()),
            Some("bert") => (200, json!({"name": "bert", "type": "basic"}).to_string()),
            _ => (404, json!({"error": "nobody is called so"}).to_string()),
        }
    })
}

fn billing() -> Postgres {
    let postgres = Postgres::start();
    postgres.sql("CREATE ROLE billing LOGIN PASSWORD 'sesame'");
    postgres.sql(TABLE);
    postgres.sql("GRANT SELECT ON account TO billing");
    postgres
}

/// The tutorial's steps, on addresses of the test.
fn tutorial(crm: &Stub, billing: &Postgres) -> Cluster {
    let cluster = Cluster::with(ClusterOptions {
        servers: 2,
        ..ClusterOptions::default()
    });
    cluster.write_service("my_service.py", SERVICE);
    cluster.set_secret("billing-password", "sesame");
    cluster.set_secret("partner-key", KEY);
    let database = billing.url().replace("postgres@", "billing@");
    let manifest = replaced(MANIFEST, "http://127.0.0.1:9000/get-user", &crm.url("/get-user"));
    let manifest = replaced(&manifest, "postgresql://billing@127.0.0.1:5432/billing", &database);
    cluster.apply(&manifest);
    for server in [1, 2] {
        let url = cluster.server_url(server, PATH);
        let partner = cluster.client.with_header("x-api-key", KEY);
        wait_for("the service is on both servers", PATIENCE, || {
            (partner.get(&url).ok()?.status == 200).then_some(())
        });
    }
    cluster
}

#[track_caller]
fn replaced(text: &str, what: &str, with: &str) -> String {
    assert!(text.contains(what), "{what} is not in the tutorial any more");
    text.replace(what, with)
}

fn answers_through_the_balancer_and_from_both_servers(cluster: &Cluster, partner: &Client) {
    let anna = json!({"name": "anna", "customer_type": "gold", "balance": 120.5});
    let bert = json!({"name": "bert", "customer_type": "basic", "balance": -7.25});
    let urls = [
        cluster.url(PATH),
        cluster.server_url(1, PATH),
        cluster.server_url(2, PATH),
    ];
    for url in urls {
        assert_answer(&partner.get(&url).unwrap(), &anna);
        assert_answer(&partner.get(&format!("{url}?name=bert")).unwrap(), &bert);
        assert_answer(&partner.post_json(&url, &json!({"name": "bert"})).unwrap(), &bert);
    }
    let invoked = cluster.tenon_ok(&[
        "service",
        "invoke",
        "api.my-service",
        "--payload",
        r#"{"name": "bert"}"#,
    ]);
    assert_eq!(serde_json::from_str::<Value>(&invoked).unwrap(), bert);
}

#[track_caller]
fn assert_answer(answer: &Answer, expected: &Value) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json(), *expected);
    assert!(answer.header("x-tenon-cid").is_some(), "{answer:?}");
}

fn lets_nobody_in_without_the_key(cluster: &Cluster) {
    assert_eq!(cluster.client.get(&cluster.url(PATH)).unwrap().status, 401);
    let wrong = cluster.client.with_header("x-api-key", "another-key");
    let refused = wrong.get(&cluster.server_url(1, PATH)).unwrap();
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
}

fn says_who_is_not_there(cluster: &Cluster, partner: &Client) {
    let answer = partner.get(&cluster.url(&format!("{PATH}?name=nobody"))).unwrap();
    assert_eq!(answer.status, 404, "{answer:?}");
    assert_eq!(answer.json()["detail"], "The CRM knows no customer nobody");
}

fn runs_the_job_by_itself(cluster: &Cluster) {
    let run = wait_for("the job ran by itself", PATIENCE, || {
        let history = cluster.tenon_json(&["job", "history", JOB]);
        let runs = history["items"].as_array()?.clone();
        runs.into_iter().find(|run| run["outcome"] == "ok")
    });
    assert_eq!(run["manual"], false);
    assert_eq!(run["attempt"], 1);
    assert!(run["output"].as_str().unwrap().contains("gold"), "{run}");
    let server = run["server"].as_str().unwrap();
    let cid = run["cid"].as_str().unwrap();
    let logged = cluster.log(server);
    assert!(
        logged
            .lines()
            .any(|line| line.contains(cid) && line.contains("of type gold")),
        "the log of {server} has no line of the run {cid}"
    );
}

fn survives_its_database(cluster: &Cluster, partner: &Client, billing: &mut Postgres) {
    let pids = [cluster.pid("server1"), cluster.pid("server2")];
    billing.stop();
    for url in [
        cluster.url(PATH),
        cluster.server_url(1, PATH),
        cluster.server_url(2, PATH),
    ] {
        let began = Instant::now();
        let answer = partner.get(&url).unwrap();
        let took = began.elapsed();
        assert!(matches!(answer.status, 502..=504), "{answer:?}");
        assert!(took < Duration::from_secs(7), "the answer took {took:?}");
        let problem = answer.json();
        assert_eq!(problem["cid"].as_str(), answer.header("x-tenon-cid"), "{answer:?}");
        assert!(
            !answer.body.contains("sesame") && !answer.body.contains("127.0.0.1"),
            "{answer:?}"
        );
    }
    billing.start_again();
    for server in [1, 2] {
        let url = cluster.server_url(server, PATH);
        wait_for("the connection recovers", Duration::from_secs(15), || {
            (partner.get(&url).ok()?.status == 200).then_some(())
        });
    }
    assert_eq!(
        pids,
        [cluster.pid("server1"), cluster.pid("server2")],
        "nothing was restarted"
    );
}
