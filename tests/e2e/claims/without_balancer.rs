//! A cluster without a load balancer and without a scheduler, as it is behind an external load balancer beside another cluster.

use crate::group::group;
use crate::harness::{Cluster, ClusterOptions};

group! {
    start, steps:
    claim_29_the_dashboard_does_without_a_load_balancer,
    claim_38_a_scheduler_is_started_by_hand_when_it_is_needed,
}

fn start() -> Cluster {
    Cluster::with(ClusterOptions {
        create: vec!["--no-load-balancer".to_owned(), "--no-scheduler".to_owned()],
        ..ClusterOptions::default()
    })
}

mod steps {
    use serde_json::Value;

    use crate::harness::{Cluster, PATIENCE, Session, wait_for};

    pub(super) fn claim_29_the_dashboard_does_without_a_load_balancer(cluster: &Cluster) {
        assert!(
            cluster.client.get(&cluster.url("/tenon/ping")).is_err(),
            "nobody listens"
        );
        let session = Session::of_admin(cluster);
        let get = |path: &str| session.call("GET", path, &Value::Null, None);
        for path in [
            "/api/v1/status",
            "/api/v1/services",
            "/api/v1/jobs",
            "/api/v1/deployments",
        ] {
            assert_eq!(get(path).status, 200, "{path}");
        }
        let balancers = get("/api/v1/balancers");
        assert_eq!(balancers.status, 200, "{balancers:?}");
        assert_eq!(balancers.json()["items"], serde_json::json!([]));
        assert_eq!(
            cluster
                .client
                .get(&cluster.server_url(1, "/demo/hello"))
                .unwrap()
                .status,
            200
        );
        // A server is drained without one too.
        cluster.tenon_ok(&["server", "drain", "server1", "--force"]);
        cluster.wait_for_status(&cluster.server_url(1, "/tenon/ready"), 503);
        assert_eq!(
            cluster
                .client
                .get(&cluster.server_url(1, "/demo/hello"))
                .unwrap()
                .status,
            200
        );
        cluster.tenon_ok(&["server", "drain", "server1", "--back"]);
        cluster.wait_for_status(&cluster.server_url(1, "/tenon/ready"), 200);
        let dashboard = cluster.log("dashboard");
        assert!(!dashboard.contains("ERROR"), "{dashboard}");
    }

    pub(super) fn claim_38_a_scheduler_is_started_by_hand_when_it_is_needed(cluster: &Cluster) {
        cluster.apply("job: [{name: claim-38, service: demo.ping, every: 1s}]");
        let runs = || {
            let history = cluster.tenon_json(&["job", "history", "claim-38"]);
            history["items"].as_array().map_or(0, Vec::len)
        };
        // Another cluster's scheduler does the work.
        std::thread::sleep(std::time::Duration::from_millis(2_500));
        assert_eq!(runs(), 0);
        // Monitoring finds the other cluster gone and starts one here.
        cluster.tenon_ok(&["create", "scheduler", &cluster.path().to_string_lossy()]);
        let scheduler = cluster.path().join("scheduler");
        let scheduler = scheduler.to_string_lossy();
        cluster.tenon_ok(&["start", &scheduler]);
        wait_for("jobs run", PATIENCE, || (runs() >= 2).then_some(()));
        // The other cluster is back; then it is gone again.
        cluster.tenon_ok(&["stop", &scheduler]);
        assert_eq!(cluster.component("scheduler")["state"], "stopped");
        let before = runs();
        cluster.tenon_ok(&["start", &scheduler]);
        assert_eq!(cluster.component("scheduler")["ready"], true);
        wait_for("jobs run again", PATIENCE, || (runs() > before).then_some(()));
    }
}
