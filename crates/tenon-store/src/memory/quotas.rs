//! How full every quota is.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{Unit, Zoned};
use tenon_model::Timestamp;

use crate::error::StoreError;
use crate::quotas::{QuotaGrant, QuotaKind, QuotaReply, QuotaRequest, QuotaSpec, QuotaUnit};

/// The quotas of which something has been taken. The store has those of the cluster; a server that can't reach it has some of its
/// own.
#[derive(Debug)]
pub struct Quotas {
    keys_max: usize,
    taken: Mutex<HashMap<String, Level>>,
}

/// How full a quota is.
#[derive(Debug, Clone, Copy)]
struct Level {
    spec: QuotaSpec,
    /// Tokens in the bucket, or how many are left in the window.
    left: f64,
    /// When `left` was right: the last take, or the begin of the window.
    at: Timestamp,
    /// When it is whole again.
    whole_at: Timestamp,
}

impl Quotas {
    /// Quotas of so many keys at most.
    pub fn new(keys_max: usize) -> Self {
        Self {
            keys_max: keys_max.max(1),
            taken: Mutex::default(),
        }
    }

    /// Does a request.
    pub(crate) fn answer(&self, request: QuotaRequest, now: Timestamp) -> Result<QuotaReply, StoreError> {
        let QuotaRequest::Take { key, spec, wanted } = request;
        self.take(key, spec, wanted, now).map(QuotaReply::Granted)
    }

    /// Takes of a quota as [`Store::take_quota`](crate::Store::take_quota) does.
    pub fn take(&self, key: String, spec: QuotaSpec, wanted: u64, now: Timestamp) -> Result<QuotaGrant, StoreError> {
        check(spec)?;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.len() >= self.keys_max && !taken.contains_key(&key) {
            make_room(&mut taken, self.keys_max, now);
        }
        let level = taken.entry(key).or_insert_with(|| Level::whole(spec, now));
        if level.spec != spec {
            *level = Level::whole(spec, now);
        }
        level.advance(now);
        Ok(level.take(wanted, now))
    }
}

/// Forgets what is whole again, and if that is not enough those that will be soonest.
fn make_room(taken: &mut HashMap<String, Level>, keys_max: usize, now: Timestamp) {
    taken.retain(|_, level| level.whole_at > now);
    if taken.len() < keys_max {
        return;
    }
    let mut ends: Vec<Timestamp> = taken.values().map(|level| level.whole_at).collect();
    // A tenth goes at once, so that the next ones find room.
    let last = (keys_max / 10).min(ends.len() - 1);
    let (_, end, _) = ends.select_nth_unstable(last);
    let end = *end;
    taken.retain(|_, level| level.whole_at > end);
}

fn check(spec: QuotaSpec) -> Result<(), StoreError> {
    let right = match spec.kind {
        QuotaKind::TokenBucket { rate_per_second, burst } => {
            rate_per_second.is_finite() && rate_per_second > 0.0 && burst.is_finite() && burst >= 1.0
        }
        QuotaKind::FixedWindow { .. } => true,
    };
    if right {
        Ok(())
    } else {
        Err(StoreError::Invalid(
            "a bucket fills by more than nothing and holds at least one".to_owned(),
        ))
    }
}

impl Level {
    fn whole(spec: QuotaSpec, now: Timestamp) -> Self {
        let (left, at) = match spec.kind {
            QuotaKind::TokenBucket { burst, .. } => (burst, now),
            QuotaKind::FixedWindow { limit, unit } => (to_float(limit), window(unit, now).0),
        };
        Self {
            spec,
            left,
            at,
            whole_at: now,
        }
    }

    /// Lets the time pass until `now`.
    fn advance(&mut self, now: Timestamp) {
        match self.spec.kind {
            QuotaKind::TokenBucket { rate_per_second, burst } => {
                self.left = (self.left + now.since(self.at).as_secs_f64() * rate_per_second).min(burst);
                // A clock that was set back gives nothing twice.
                self.at = self.at.max(now);
            }
            QuotaKind::FixedWindow { limit, unit } => {
                let begin = window(unit, now).0;
                if begin > self.at {
                    self.left = to_float(limit);
                    self.at = begin;
                }
            }
        }
    }

    fn take(&mut self, wanted: u64, now: Timestamp) -> QuotaGrant {
        let granted = wanted.min(to_count(self.left));
        self.left -= to_float(granted);
        let retry_after_ms = if granted == wanted { 0 } else { self.next_after_ms(now) };
        let reset_ms = self.reset_ms(now);
        self.whole_at = now.plus(std::time::Duration::from_millis(reset_ms));
        QuotaGrant {
            granted,
            remaining: to_count(self.left),
            retry_after_ms,
            reset_ms,
        }
    }

    fn next_after_ms(&self, now: Timestamp) -> u64 {
        match self.spec.kind {
            QuotaKind::TokenBucket { rate_per_second, .. } => {
                let missing = (1.0 - self.left).max(0.0);
                to_count((missing / rate_per_second * 1000.0).ceil()).max(1)
            }
            QuotaKind::FixedWindow { unit, .. } => until_end_ms(unit, now),
        }
    }

    fn reset_ms(&self, now: Timestamp) -> u64 {
        match self.spec.kind {
            QuotaKind::TokenBucket { rate_per_second, burst } => {
                to_count(((burst - self.left).max(0.0) / rate_per_second * 1000.0).ceil())
            }
            QuotaKind::FixedWindow { unit, .. } => until_end_ms(unit, now),
        }
    }
}

fn until_end_ms(unit: QuotaUnit, now: Timestamp) -> u64 {
    let left = window(unit, now).1.since(now);
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Begin and end of the window that `now` is in.
fn window(unit: QuotaUnit, now: Timestamp) -> (Timestamp, Timestamp) {
    let millis = match unit {
        QuotaUnit::Second => 1_000,
        QuotaUnit::Minute => 60_000,
        QuotaUnit::Hour => 3_600_000,
        QuotaUnit::Day => 86_400_000,
        QuotaUnit::Month => return month(now),
    };
    let begin = now.as_millis().div_euclid(millis) * millis;
    (
        Timestamp::from_millis(begin),
        Timestamp::from_millis(begin.saturating_add(millis)),
    )
}

fn month(now: Timestamp) -> (Timestamp, Timestamp) {
    let days_31 = std::time::Duration::from_hours(31 * 24);
    let bounds = || -> Result<(i64, i64), jiff::Error> {
        let instant = jiff::Timestamp::from_millisecond(now.as_millis())?;
        let day: Zoned = instant
            .to_zoned(jiff::tz::TimeZone::UTC)
            .round(jiff::ZonedRound::new().smallest(Unit::Day).mode(jiff::RoundMode::Trunc))?;
        let begin = day.first_of_month()?;
        let end = begin.checked_add(jiff::Span::new().months(1))?;
        Ok((begin.timestamp().as_millisecond(), end.timestamp().as_millisecond()))
    };
    match bounds() {
        Ok((begin, end)) => (Timestamp::from_millis(begin), Timestamp::from_millis(end)),
        // Only instants thousands of years away have no month.
        Err(_) => (now, now.plus(days_31)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a quota beyond 2^53 may be off by a few")]
fn to_float(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "casts of floats saturate, and only whole ones count"
)]
fn to_count(left: f64) -> u64 {
    left as u64
}
