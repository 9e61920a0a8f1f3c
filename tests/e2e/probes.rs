//! Health and metrics over plain HTTP, and readiness that goes down before the connection does.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Cluster, ClusterOptions, PATIENCE, wait_for};

/// Where each component answers probes, after the cluster's first port.
const PROBES: [(&str, u16); 5] = [
    ("store", 100),
    ("server1", 101),
    ("scheduler", 102),
    ("dashboard", 103),
    ("load-balancer", 104),
];

fn set(cluster: &Cluster, component: &str, setting: &str) {
    let file = cluster.path().join(component).join("component.toml");
    let settings = std::fs::read_to_string(&file).unwrap();
    let changed = match setting.split_once(" in ") {
        Some((line, table)) if settings.contains(table) => settings.replace(table, &format!("{table}\n{line}")),
        Some((line, table)) => format!("{settings}\n{table}\n{line}\n"),
        None => panic!("{setting}"),
    };
    std::fs::write(&file, changed).unwrap();
}

#[test]
fn probes_need_no_certificate_and_see_a_component_leave_before_it_goes() {
    let cluster = Cluster::with(ClusterOptions {
        start: false,
        ..ClusterOptions::default()
    });
    let probe = |component: &str, path: &str| {
        let (_, offset) = PROBES.iter().find(|(name, _)| *name == component).unwrap();
        format!("http://127.0.0.1:{}{path}", cluster.port() + offset)
    };
    for (component, offset) in PROBES {
        let address = format!("127.0.0.1:{}", cluster.port() + offset);
        set(&cluster, component, &format!("probes = \"{address}\" in [addresses]"));
    }
    set(&cluster, "load-balancer", "drain_delay = \"8s\" in [limits.balancer]");
    set(&cluster, "server1", "drain_delay = \"8s\" in [limits.data]");
    cluster.start_all();
    for (component, _) in PROBES {
        let live = cluster.client.get(&probe(component, "/livez")).unwrap();
        assert_eq!(live.status, 200, "{component}");
        cluster.wait_for_status(&probe(component, "/readyz"), 200);
        let report = cluster.client.get(&probe(component, "/readyz?verbose")).unwrap().json();
        assert_eq!((&report["name"], &report["ready"]), (&component.into(), &true.into()));
        let metrics = cluster.client.get(&probe(component, "/metrics")).unwrap();
        assert!(
            metrics.status == 200 && metrics.body.ends_with("# EOF\n"),
            "{metrics:?}"
        );
    }

    let (live, hello) = (cluster.url("/tenon/live"), cluster.url("/demo/hello"));
    let before = cluster.pid("load-balancer");
    cluster.signal("load-balancer", Signal::TERM);
    cluster.wait_for_status(&live, 503);
    assert_eq!(
        cluster.client.get(&hello).unwrap().status,
        200,
        "everything is still served"
    );
    assert_eq!(
        cluster.client.get(&probe("load-balancer", "/readyz")).unwrap().status,
        503
    );
    wait_for("another load balancer", PATIENCE, || {
        let now = cluster.component("load-balancer");
        (now["ready"] == true && now["pid"] != before).then_some(())
    });
    cluster.wait_for_status(&live, 200);

    let (ready, direct) = (
        cluster.server_url(1, "/tenon/ready"),
        cluster.server_url(1, "/demo/hello"),
    );
    let before = cluster.pid("server1");
    cluster.signal("server1", Signal::TERM);
    cluster.wait_for_status(&ready, 503);
    assert_eq!(
        cluster.client.get(&direct).unwrap().status,
        200,
        "nothing is refused yet"
    );
    assert_eq!(cluster.client.get(&probe("server1", "/readyz")).unwrap().status, 503);
    wait_for("another server", Duration::from_mins(2), || {
        let now = cluster.component("server1");
        (now["ready"] == true && now["pid"] != before).then_some(())
    });
}
