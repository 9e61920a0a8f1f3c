//! When a certificate is ordered. Nothing here looks at a clock or a disk.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tenon_model::{Random, Timestamp};

use crate::settings::Settings;
use crate::tls::CertificateFacts;

/// A certificate is renewed when two thirds of its life are over, or up to a thirtieth of its life later, so that certificates of
/// one day are not all renewed in one minute.
const SPREAD: u32 = 30;

/// What became of earlier orders of a certificate; kept on disk, so that a restart does not forget to wait.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempts {
    /// What was ordered, as a digest; for anything else nothing of this holds.
    pub(super) of: String,
    /// Orders in a row that failed.
    pub(super) failures: u32,
    /// No order before this.
    pub(super) pause_until: Timestamp,
    /// Why the last order failed; empty if it did not.
    pub(super) problem: String,
}

impl Attempts {
    /// Nothing was tried yet.
    pub(super) fn none(of: &str) -> Self {
        Self {
            of: of.to_owned(),
            ..Self::default()
        }
    }

    /// Before when nothing is ordered. If the clock was set back since, that is no longer away than any pause lasts.
    pub(super) fn pause_until(&self, now: Timestamp, settings: &Settings) -> Timestamp {
        let retry_max = settings.acme_retry_max.0;
        let longest = (retry_max + retry_max / 4).max(settings.acme_order_pause.0);
        self.pause_until.min(now.plus(longest))
    }

    /// An order succeeded.
    pub(super) fn succeeded(&mut self, now: Timestamp, settings: &Settings) {
        self.failures = 0;
        self.problem.clear();
        self.pause_until = now.plus(settings.acme_order_pause.0);
    }

    /// An order failed; `asked` is how long the authority wants not to be asked again.
    pub(super) fn failed(
        &mut self,
        now: Timestamp,
        problem: String,
        asked: Option<Duration>,
        settings: &Settings,
        random: &dyn Random,
    ) {
        self.failures = self.failures.saturating_add(1);
        self.problem = problem;
        let pause = pause_after(self.failures, settings).max(asked.unwrap_or_default());
        let pause = pause.min(settings.acme_retry_max.0);
        // Up to a quarter longer, so that load balancers that failed together do not come back together.
        self.pause_until = now.plus(pause + part(pause / 4, random));
    }
}

/// How long nothing is ordered after so many failures in a row.
fn pause_after(failures: u32, settings: &Settings) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
    let pause = settings.acme_retry_min.0.saturating_mul(factor);
    pause.min(settings.acme_retry_max.0)
}

/// When an issued certificate is renewed.
pub(super) fn renewal(facts: &CertificateFacts, random: &dyn Random) -> Timestamp {
    let life = facts.not_after.since(facts.not_before);
    facts.not_before.plus(life * 2 / 3 + part(life / SPREAD, random))
}

/// Some part of a duration, at random.
fn part(whole: Duration, random: &dyn Random) -> Duration {
    let millis = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random.below(millis))
}

#[cfg(test)]
mod tests {
    use tenon_model::ManualRandom;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_life_and_not_all_at_once() {
        let not_before = Timestamp::from_millis(1_800_000_000_000);
        let facts = CertificateFacts {
            hosts: Vec::new(),
            not_before,
            not_after: not_before.plus(90 * DAY),
            fingerprint: String::new(),
        };
        let random = ManualRandom::new(7);
        let mut all: Vec<_> = (0..100).map(|_| renewal(&facts, &random)).collect();
        all.sort_unstable();
        assert!(all[0] >= not_before.plus(60 * DAY) && all[99] <= not_before.plus(63 * DAY));
        assert!(all[99].since(all[0]) > DAY, "{all:?}");
    }

    #[test]
    fn orders_that_fail_are_repeated_ever_later_but_not_endlessly_so() {
        let (settings, random) = (Settings::default(), ManualRandom::new(7));
        let mut attempts = Attempts::none("a");
        let mut now = Timestamp::from_millis(1_800_000_000_000);
        let mut pauses = Vec::new();
        for _ in 0..40 {
            attempts.failed(now, "down".to_owned(), None, &settings, &random);
            pauses.push(attempts.pause_until.since(now));
            now = attempts.pause_until;
        }
        let mut base = settings.acme_retry_min.0;
        for pause in pauses {
            assert!(
                pause >= base && pause <= base + base / 4,
                "{pause:?} instead of {base:?}"
            );
            base = (base * 2).min(settings.acme_retry_max.0);
        }
        attempts.succeeded(now, &settings);
        assert_eq!(attempts.pause_until, now.plus(settings.acme_order_pause.0));
        assert_eq!((attempts.failures, attempts.problem.as_str()), (0, ""));
    }

    #[test]
    fn an_authority_that_asks_for_a_pause_gets_it_up_to_the_longest() {
        let (settings, random) = (Settings::default(), ManualRandom::new(7));
        let now = Timestamp::from_millis(1_800_000_000_000);
        for (asked, least) in [(3600, 3600), (1, 120), (30 * 24 * 3600, 6 * 3600)] {
            let mut attempts = Attempts::none("a");
            let asked = Some(Duration::from_secs(asked));
            attempts.failed(now, String::new(), asked, &settings, &random);
            let (pause, least) = (attempts.pause_until.since(now), Duration::from_secs(least));
            assert!(pause >= least && pause <= least + least / 4, "{pause:?}");
        }
    }
}
