//! What two readers could read differently never reaches a server. `cargo xtask security` compares with other load balancers.

use tenon_tests::security::{Expected, Kind, Target, cases, send};

#[test]
fn ambiguous_requests_end_at_the_load_balancer() {
    let target = Target::start(Kind::Tenon);
    for case in cases() {
        let seen = send(&target, &case.bytes);
        let what = format!("{}: {}: {seen:?}", case.group, case.name);
        match case.expected {
            Expected::Refused(status) => {
                assert_eq!(seen.statuses, [status], "{what}");
                assert!(seen.is_refused() && seen.closed, "{what}");
            }
            Expected::Served(count) => {
                assert_eq!(seen.statuses, vec![200; count], "{what}");
                assert_eq!(seen.requests.len(), count, "{what}");
            }
        }
        assert!(seen.doubts.is_empty(), "{what}");
    }
}
