//! Clients that are slow on purpose are cut off. `cargo xtask security` compares with other load balancers.

use std::time::Duration;

use tenon_tests::security::{Ending, Kind, Slowness, Target, watch};

/// Several times the limits of a load balancer that is not configured: 10 s for a head, 5 s until a body's rate counts.
const PATIENCE: Duration = Duration::from_secs(55);

#[test]
fn slow_heads_and_bodies_are_cut_off_and_others_go_on() {
    let target = Target::start(Kind::Tenon);
    let slow = [Slowness::Silent, Slowness::Head, Slowness::Body, Slowness::Chunks];
    let endings = std::thread::scope(|scope| {
        let port = target.port;
        let watching = slow.map(|slowness| scope.spawn(move || watch(port, slowness, PATIENCE)));
        let client = tenon_tests::harness::Client::new();
        for _ in 0..20 {
            let answer = client
                .get(&format!("http://127.0.0.1:{port}/"))
                .expect("it is answered");
            assert_eq!(answer.status, 200);
        }
        watching.map(|ending| ending.join().expect("the client is watched"))
    });
    for (slowness, ending) in slow.iter().zip(endings) {
        assert_ne!(ending, Ending::Open, "{}", slowness.name());
    }
}
