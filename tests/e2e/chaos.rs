//! The short version of `cargo xtask chaos`: whatever is done to the cluster, no request fails and nothing is done twice.

use std::time::Duration;

use tenon_tests::chaos::{Act, Pace, Part, Scenario, run};

#[test]
fn every_request_is_answered_or_safely_retried_or_explicitly_unknown() {
    let acts = vec![
        Act::Kill(Part::Server),
        Act::Kill(Part::Worker),
        Act::Kill(Part::LoadBalancer),
        Act::Restart(Part::LoadBalancer),
        Act::Restart(Part::Server),
        Act::Deploy,
        Act::SwapCertificate,
    ];
    let number = u32::try_from(acts.len()).unwrap();
    let scenario = Scenario {
        name: "short".to_owned(),
        acts,
        is_random: false,
        servers: 2,
        has_small_disk: false,
    };
    let pace = Pace {
        during: Duration::ZERO,
        calm: Duration::from_secs(1),
        rate: 40,
        seed: 1,
    };
    let outcome = run(&scenario, pace, &|| false, None).unwrap();
    println!("{outcome:#?}");
    assert!(outcome.undone.is_empty(), "see above");
    assert_eq!(outcome.acts, number);
    // What is unknown was judged with who was killed meanwhile: without a reason it is a failure.
    assert_eq!(outcome.counts.failed, 0, "see above");
    assert_eq!(outcome.duplicates, 0, "see above");
    assert!(outcome.counts.answered > 100, "see above");
}
