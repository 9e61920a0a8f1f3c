//! Whether a canary becomes live, by what its calls and those of the live deployment came to.

use tenon_store::{CanaryCounts, OutcomeCounts};
use tokio::time::Duration;

use super::settings::{CanarySettings, WithFewCalls};

/// How many standard deviations make a difference at the end of the period: one canary of twenty that is as good as the live
/// deployment would be taken for a worse one, if nothing were tolerated.
const SURE_AT_END: f64 = 1.645;

/// How many make it before the end: it is looked at again and again, and every look may be wrong.
const SURE_EARLY: f64 = 3.0;

/// The percentile of the calls' times that is compared.
const COMPARED_PERCENT: u64 = 95;

/// What becomes of a canary, with why, such as `promoted: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is too early to say.
    Wait,
    /// It becomes live.
    Promote(String),
    /// It does not.
    RollBack(String),
}

/// Decides by what was counted since the canary began, which was `ran` ago.
pub(super) fn decide(counts: &CanaryCounts, ran: Duration, period: Duration, settings: &CanarySettings) -> Verdict {
    let CanaryCounts { live, canary, broken } = counts;
    if !broken.is_empty() {
        return Verdict::RollBack(format!("rolled back: {broken}"));
    }
    let errors = format!(
        "{} of {} calls failed ({}), before {} of {} ({})",
        canary.failures,
        canary.calls,
        percent(canary),
        live.failures,
        live.calls,
        percent(live)
    );
    let tolerated = f64::from(settings.errors_tolerated_permille) / 1000.0;
    let is_worse = |sure| surely_more_errors(canary, live, sure) > tolerated;
    if canary.calls >= settings.calls_early && is_worse(SURE_EARLY) {
        return Verdict::RollBack(format!("rolled back: {errors}"));
    }
    if ran < period {
        return Verdict::Wait;
    }
    if canary.calls < settings.calls_min {
        return if ran < period + settings.extension_max.0 {
            Verdict::Wait
        } else {
            decide_few(canary, settings)
        };
    }
    if is_worse(SURE_AT_END) {
        return Verdict::RollBack(format!("rolled back: {errors}"));
    }
    let (now, before) = (canary.latency(COMPARED_PERCENT), live.latency(COMPARED_PERCENT));
    let allowed = before * settings.latency_max_percent / 100 + settings.latency_floor.0;
    let latency = format!("95 % of them took at most {}, before {}", millis(now), millis(before));
    if live.calls >= settings.calls_min && now > allowed {
        return Verdict::RollBack(format!("rolled back: it is slower: {latency}; {errors}"));
    }
    Verdict::Promote(format!("promoted: {errors}; {latency}"))
}

/// Decides when it can't be waited any longer.
fn decide_few(canary: &OutcomeCounts, settings: &CanarySettings) -> Verdict {
    let said = format!("only {} calls, of which {} failed", canary.calls, canary.failures);
    let goes_on = match settings.with_few_calls {
        WithFewCalls::Promote => true,
        WithFewCalls::PromoteWithoutErrors => canary.failures == 0,
        WithFewCalls::RollBack => false,
    };
    if goes_on {
        Verdict::Promote(format!("promoted: {said}"))
    } else {
        Verdict::RollBack(format!("rolled back: {said}"))
    }
}

/// By how much the share of failed calls of the canary is above that of the live deployment at least, with this certainty
/// (standard deviations): the lower bound of the difference, from the score intervals of both shares (Newcombe's method 10),
/// which is right for few calls and rare errors too.
fn surely_more_errors(canary: &OutcomeCounts, live: &OutcomeCounts, sure: f64) -> f64 {
    let (rate, lowest, _) = interval(canary, sure);
    let (rate_before, _, highest_before) = interval(live, sure);
    rate - rate_before - (rate - lowest).hypot(highest_before - rate_before)
}

/// The share of failed calls, and what it is at least and at most (Wilson's score interval). Nothing is known to fail without
/// calls.
fn interval(counts: &OutcomeCounts, sure: f64) -> (f64, f64, f64) {
    if counts.calls == 0 {
        return (0.0, 0.0, 0.0);
    }
    let calls = number(counts.calls);
    let rate = number(counts.failures) / calls;
    let square = sure * sure;
    let middle = rate + square / (2.0 * calls);
    let half = sure * (rate * (1.0 - rate) / calls + square / (4.0 * calls * calls)).sqrt();
    let scale = 1.0 + square / calls;
    let at_least = ((middle - half) / scale).clamp(0.0, rate);
    let at_most = ((middle + half) / scale).clamp(rate, 1.0);
    (rate, at_least, at_most)
}

/// A count to reckon with. More than four billion are certainty enough.
fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn percent(counts: &OutcomeCounts) -> String {
    let share = number(counts.failures) / number(counts.calls.max(1));
    format!("{:.1} %", share * 100.0)
}

fn millis(duration: Duration) -> String {
    format!("{:.0} ms", duration.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PERIOD: Duration = Duration::from_mins(1);

    fn outcomes(calls: u64, failures: u64, ms: u64) -> OutcomeCounts {
        let mut counts = OutcomeCounts::default();
        for call in 0..calls {
            counts.record(Duration::from_millis(ms), call < failures);
        }
        counts
    }

    fn both(canary: OutcomeCounts, live: OutcomeCounts) -> CanaryCounts {
        let broken = String::new();
        CanaryCounts { live, canary, broken }
    }

    fn decided(counts: &CanaryCounts, ran_s: u64) -> Verdict {
        decide(counts, Duration::from_secs(ran_s), PERIOD, &CanarySettings::default())
    }

    fn is_rolled_back(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::RollBack(_))
    }

    #[test]
    fn a_good_canary_is_promoted_at_the_end_of_its_period() {
        let counts = both(outcomes(80, 0, 10), outcomes(720, 3, 10));
        assert_eq!(decided(&counts, 59), Verdict::Wait);
        let Verdict::Promote(reason) = decided(&counts, 60) else {
            panic!("it is not promoted")
        };
        let expected = "promoted: 0 of 80 calls failed (0.0 %), before 3 of 720 (0.4 %); 95 % of them took at most ";
        assert!(reason.starts_with(expected), "{reason}");
    }

    #[test]
    fn a_canary_that_is_clearly_worse_is_rolled_back_at_once() {
        let counts = both(outcomes(80, 12, 10), outcomes(720, 3, 10));
        let reason = "rolled back: 12 of 80 calls failed (15.0 %), before 3 of 720 (0.4 %)";
        assert_eq!(decided(&counts, 2), Verdict::RollBack(reason.to_owned()));
        let too_few = both(outcomes(19, 19, 10), outcomes(720, 3, 10));
        assert_eq!(decided(&too_few, 2), Verdict::Wait);
        let as_bad_as_before = both(outcomes(80, 12, 10), outcomes(720, 108, 10));
        assert_eq!(decided(&as_bad_as_before, 2), Verdict::Wait);
        assert!(matches!(decided(&as_bad_as_before, 60), Verdict::Promote(_)));
    }

    #[test]
    fn one_error_is_not_taken_for_more_than_it_is() {
        let counts = both(outcomes(50, 1, 10), outcomes(450, 0, 10));
        assert!(matches!(decided(&counts, 60), Verdict::Promote(_)));
        let counts = both(outcomes(50, 3, 10), outcomes(450, 0, 10));
        assert_eq!(decided(&counts, 30), Verdict::Wait, "it may still be chance");
        assert!(is_rolled_back(&decided(&counts, 60)));
    }

    #[test]
    fn a_slow_canary_is_rolled_back_at_the_end() {
        let counts = both(outcomes(80, 0, 400), outcomes(720, 0, 100));
        assert_eq!(decided(&counts, 59), Verdict::Wait);
        let Verdict::RollBack(reason) = decided(&counts, 60) else {
            panic!("it is not rolled back")
        };
        assert!(reason.contains("it is slower"), "{reason}");
        let under_the_floor = both(outcomes(80, 0, 30), outcomes(720, 0, 1));
        assert!(matches!(decided(&under_the_floor, 60), Verdict::Promote(_)));
    }

    #[test]
    fn with_too_few_calls_it_is_waited_and_then_decided_by_a_setting() {
        let (clean, failing) = (
            both(outcomes(9, 0, 1), outcomes(1, 0, 1)),
            both(outcomes(9, 1, 1), outcomes(1, 0, 1)),
        );
        assert_eq!(decided(&clean, 600), Verdict::Wait);
        let reason = "promoted: only 9 calls, of which 0 failed";
        assert_eq!(decided(&clean, 660), Verdict::Promote(reason.to_owned()));
        assert!(is_rolled_back(&decided(&failing, 660)));
        let with = |with_few_calls, counts| {
            let settings = CanarySettings {
                with_few_calls,
                ..CanarySettings::default()
            };
            decide(counts, Duration::from_mins(11), PERIOD, &settings)
        };
        assert!(matches!(with(WithFewCalls::Promote, &failing), Verdict::Promote(_)));
        assert!(is_rolled_back(&with(WithFewCalls::RollBack, &clean)));
    }

    #[test]
    fn what_broke_is_reason_enough() {
        let counts = CanaryCounts {
            broken: "service 'a' is quarantined on server1: it ended 5 workers".to_owned(),
            ..CanaryCounts::default()
        };
        let Verdict::RollBack(reason) = decided(&counts, 1) else {
            panic!("it is not rolled back")
        };
        assert!(reason.ends_with("it ended 5 workers"), "{reason}");
    }

    proptest! {
        #[test]
        fn more_errors_never_help(calls in 1_u64..400, live_calls in 0_u64..2000, live_percent in 0_u64..100, ran in 0_u64..700) {
            let live = outcomes(live_calls, live_calls * live_percent / 100, 5);
            let mut was_rolled_back = false;
            for failures in 0..=calls {
                let now = is_rolled_back(&decided(&both(outcomes(calls, failures, 5), live.clone()), ran));
                prop_assert!(now || !was_rolled_back, "{failures} of {calls} are better than one less");
                was_rolled_back = now;
            }
        }

        #[test]
        fn it_always_ends_and_what_does_not_fail_is_not_said_to(calls in 0_u64..300, live_calls in 0_u64..300, failures in 0_u64..300) {
            let live = outcomes(live_calls, failures.min(live_calls), 5);
            prop_assert_ne!(decided(&both(outcomes(calls, failures.min(calls), 5), live.clone()), 660), Verdict::Wait);
            prop_assert!(!is_rolled_back(&decided(&both(outcomes(calls, 0, 5), live), 660)));
        }
    }
}
