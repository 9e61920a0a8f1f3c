//! The kind `rate-limit` as users see it.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenon_model::{FieldProblem, KindConfig, KindGroup, Network};
use tenon_store::QuotaUnit;

/// How many requests may come, from where and when. Channels, security definitions and security groups name it; each that
/// does has counters of its own, which all servers of the cluster share.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimitConfig {
    /// The first rule that fits a request's address and the time of day decides; a request that none fits is not limited.
    pub rules: Vec<RuleConfig>,
    /// The time zone of `times`, such as `Europe/Malta`.
    #[serde(default = "utc")]
    pub time_zone: String,
}

/// One rule. With `deny` it refuses, with `rate` or `limit` (or both, of which both must allow) it limits, with none of them it
/// lets everything through.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// Addresses and networks of clients, such as `10.0.0.0/8` or `2001:db8::1`. Empty: all.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// When the rule holds. Empty: always.
    #[serde(default)]
    pub times: Vec<TimesConfig>,
    /// Whether requests are refused, with 403.
    #[serde(default)]
    pub deny: bool,
    /// Requests per second that are let through in the long run (a token bucket).
    pub rate: Option<f64>,
    /// Requests that may come at once, after a time with few; without it as many as in one second, at least one.
    pub burst: Option<u64>,
    /// Requests in one `unit` of time (a fixed window: all are there again when the next one begins, in UTC).
    pub limit: Option<u64>,
    /// The unit of `limit`.
    #[serde(default)]
    pub unit: LimitUnit,
    /// Who shares the numbers.
    #[serde(default)]
    pub per: LimitPer,
}

/// A time of day, on some days.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimesConfig {
    /// When it begins, as `HH:MM`.
    pub from: String,
    /// When it is over, as `HH:MM`; `24:00` is the end of the day. If it is before `from`, it is on the next day.
    pub to: String,
    /// On which days it begins; empty: on all.
    #[serde(default)]
    pub days: Vec<Day>,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    /// The day as the calendar has it.
    pub(super) const fn weekday(self) -> Weekday {
        match self {
            Self::Mon => Weekday::Monday,
            Self::Tue => Weekday::Tuesday,
            Self::Wed => Weekday::Wednesday,
            Self::Thu => Weekday::Thursday,
            Self::Fri => Weekday::Friday,
            Self::Sat => Weekday::Saturday,
            Self::Sun => Weekday::Sunday,
        }
    }
}

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LimitUnit {
    Second,
    #[default]
    Minute,
    Hour,
    Day,
    Month,
}

impl LimitUnit {
    /// The unit as the store has it.
    pub(super) const fn quota_unit(self) -> QuotaUnit {
        match self {
            Self::Second => QuotaUnit::Second,
            Self::Minute => QuotaUnit::Minute,
            Self::Hour => QuotaUnit::Hour,
            Self::Day => QuotaUnit::Day,
            Self::Month => QuotaUnit::Month,
        }
    }

    /// Its length in seconds; a month counts as 30 days.
    pub(super) const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
            Self::Month => 30 * 86_400,
        }
    }
}

/// Who shares the numbers of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LimitPer {
    /// All requests that the rule fits.
    #[default]
    All,
    /// Each client address for itself; of IPv6 each network of 64 bits.
    Address,
    /// Each caller for itself: each security definition, and within it each user of tokens or certificates.
    Caller,
}

fn utc() -> String {
    "UTC".to_owned()
}

impl KindConfig for RateLimitConfig {
    const NAME: &'static str = "rate-limit";
    const TITLE: &'static str = "Rate limit";
    const GROUP: KindGroup = KindGroup::Security;

    fn check(&self) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        if TimeZone::get(&self.time_zone).is_err() {
            let message = format!(
                "'{}' is not the name of a time zone, such as Europe/Malta",
                self.time_zone
            );
            problems.push(FieldProblem::new("time_zone", message));
        }
        if self.rules.is_empty() {
            problems.push(FieldProblem::new("rules", "a limit has at least one rule"));
        }
        for (index, rule) in self.rules.iter().enumerate() {
            rule.check(&format!("rules[{index}]"), &mut problems);
        }
        problems
    }
}

impl RuleConfig {
    fn check(&self, at: &str, problems: &mut Vec<FieldProblem>) {
        for (index, address) in self.addresses.iter().enumerate() {
            if let Err(error) = address.parse::<Network>()
                && !address.contains("${")
            {
                problems.push(FieldProblem::new(format!("{at}.addresses[{index}]"), error.to_string()));
            }
        }
        for (index, times) in self.times.iter().enumerate() {
            for (field, text) in [("from", &times.from), ("to", &times.to)] {
                if read_time(text).is_none() {
                    problems.push(FieldProblem::new(
                        format!("{at}.times[{index}].{field}"),
                        "a time of day is HH:MM, 00:00 to 24:00",
                    ));
                }
            }
        }
        if self.deny && (self.rate.is_some() || self.limit.is_some()) {
            problems.push(FieldProblem::new(
                format!("{at}.deny"),
                "a rule that refuses has neither rate nor limit",
            ));
        }
        if self.rate.is_some_and(|rate| !(rate > 0.0 && rate <= 1e9)) {
            problems.push(FieldProblem::new(
                format!("{at}.rate"),
                "requests per second, more than 0; for none at all, use deny",
            ));
        }
        if self.burst == Some(0) || (self.burst.is_some() && self.rate.is_none()) {
            problems.push(FieldProblem::new(
                format!("{at}.burst"),
                "at least 1, together with rate",
            ));
        }
        if self.limit == Some(0) {
            problems.push(FieldProblem::new(
                format!("{at}.limit"),
                "at least 1; for none at all, use deny",
            ));
        }
    }
}

/// Minutes since midnight of `HH:MM`, up to `24:00`.
pub(super) fn read_time(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let is_short = |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_short(hours) || !is_short(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= 24 * 60).then_some(total)
}

/// Minutes since midnight of a time.
pub(super) fn minutes_of(time: Time) -> u16 {
    u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).unwrap_or(0)
}
