//! Cron expressions: what they say, and which civil times match. Knows no time zones; that is [`crate::schedule`].

mod field;
mod parse;

#[cfg(test)]
mod tests;

use jiff::civil::{Date, DateTime, Time, Weekday};

/// A cron expression, ready to be matched.
///
/// Five fields (minute, hour, day of month, month, day of week) or six with seconds first; also `@hourly`, `@daily`,
/// `@weekly`, `@monthly` and `@yearly`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cron {
    text: String,
    seconds: u64,
    minutes: u64,
    hours: u64,
    months: u64,
    days: MonthDays,
    weekdays: WeekDays,
}

/// The day-of-month field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct MonthDays {
    /// Bit n: day n.
    days: u64,
    /// Bit n: the working day nearest to day n, within the month.
    nearest_working: u64,
    /// The last day of the month.
    last: bool,
    /// The last working day of the month.
    last_working: bool,
    /// The field begins with a star, so that the day-of-week field alone decides.
    any: bool,
}

/// The day-of-week field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct WeekDays {
    /// Bit n: weekday n, 0 for Sunday.
    days: u64,
    /// Per weekday, bit n: its n-th in the month.
    nth: [u8; 7],
    /// Bit n: the last weekday n of the month.
    last: u64,
    /// The field begins with a star, so that the day-of-month field alone decides.
    any: bool,
}

const fn has(bits: u64, index: i8) -> bool {
    bits >> index & 1 == 1
}

impl Cron {
    /// The expression as it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it has instants in every hour of a day, so that it reads as "every so often" rather than "at this time".
    pub(crate) fn is_hourly(&self) -> bool {
        self.hours == (1 << 24) - 1
    }

    /// Whether this civil time is one that the expression names: what the searches are tested against.
    #[cfg(test)]
    pub(crate) fn matches(&self, civil: DateTime) -> bool {
        has(self.hours, civil.hour())
            && has(self.minutes, civil.minute())
            && has(self.seconds, civil.second())
            && self.matches_date(civil.date())
    }

    /// The first matching civil time that is `from` or later and before `until`.
    pub(crate) fn next_civil(&self, from: DateTime, until: DateTime) -> Option<DateTime> {
        let mut date = from.date();
        let mut time = from.time();
        while date <= until.date() {
            if !has(self.months, date.month()) {
                date = date.first_of_month().checked_add(jiff::Span::new().months(1)).ok()?;
                time = Time::midnight();
                continue;
            }
            if self.matches_date(date)
                && let Some(found) = self.next_time(time)
            {
                return Some(date.to_datetime(found)).filter(|found| *found < until);
            }
            date = date.tomorrow().ok()?;
            time = Time::midnight();
        }
        None
    }

    /// The first matching time of day that is `from` or later.
    fn next_time(&self, from: Time) -> Option<Time> {
        let (mut hour, mut minute, mut second) = (from.hour(), from.minute(), from.second());
        loop {
            let next_hour = next_bit(self.hours, hour)?;
            if next_hour > hour {
                (hour, minute, second) = (next_hour, 0, 0);
            }
            let Some(next_minute) = next_bit(self.minutes, minute) else {
                (hour, minute, second) = (hour + 1, 0, 0);
                continue;
            };
            if next_minute > minute {
                (minute, second) = (next_minute, 0);
            }
            let Some(next_second) = next_bit(self.seconds, second) else {
                (minute, second) = (minute + 1, 0);
                continue;
            };
            return Time::new(hour, minute, next_second, 0).ok();
        }
    }

    fn matches_date(&self, date: Date) -> bool {
        if !has(self.months, date.month()) {
            return false;
        }
        // As cron has always had it: of two restricted day fields either may match, and a star leaves it to the other.
        if self.days.any || self.weekdays.any {
            self.days.matches(date) && self.weekdays.matches(date)
        } else {
            self.days.matches(date) || self.weekdays.matches(date)
        }
    }
}

/// The lowest bit that is set at `from` or above.
fn next_bit(bits: u64, from: i8) -> Option<i8> {
    let rest = bits.checked_shr(u32::try_from(from).ok()?)?;
    (rest != 0).then(|| from + i8::try_from(rest.trailing_zeros()).expect("at most 63"))
}

impl MonthDays {
    fn matches(&self, date: Date) -> bool {
        has(self.days, date.day())
            || (self.last && date.day() == date.days_in_month())
            || (self.last_working && date == nearest_working_day(date.last_of_month()))
            || (self.nearest_working != 0 && self.is_nearest_working(date))
    }

    fn is_nearest_working(&self, date: Date) -> bool {
        // A working day stands in for days at most two away from it.
        (date.day() - 2..=date.day() + 2)
            .filter(|day| *day >= 1 && *day <= date.days_in_month() && has(self.nearest_working, *day))
            .filter_map(|day| Date::new(date.year(), date.month(), day).ok())
            .any(|wanted| nearest_working_day(wanted) == date)
    }
}

/// The working day (Monday to Friday) of the same month that is nearest to a day.
fn nearest_working_day(date: Date) -> Date {
    let step = match date.weekday() {
        Weekday::Saturday if date.day() == 1 => 2,
        Weekday::Saturday => -1,
        Weekday::Sunday if date.day() == date.days_in_month() => -2,
        Weekday::Sunday => 1,
        _ => 0,
    };
    Date::new(date.year(), date.month(), date.day() + step).unwrap_or(date)
}

impl WeekDays {
    fn matches(&self, date: Date) -> bool {
        let weekday = date.weekday().to_sunday_zero_offset();
        let nth = (date.day() - 1) / 7 + 1;
        let place = usize::try_from(weekday).expect("a weekday is 0 to 6");
        has(self.days, weekday)
            || self.nth[place] >> nth & 1 == 1
            || (has(self.last, weekday) && date.day() + 7 > date.days_in_month())
    }
}
