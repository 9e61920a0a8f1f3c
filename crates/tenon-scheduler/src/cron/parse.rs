//! Cron expressions from text.

use std::str::FromStr;

use jiff::civil::date;

use super::field::FieldRule;
use super::{Cron, MonthDays, WeekDays};

const SECOND: FieldRule = FieldRule {
    label: "second",
    min: 0,
    max: 59,
    names: &[],
    names_from: 0,
};
const MINUTE: FieldRule = FieldRule {
    label: "minute",
    ..SECOND
};
const HOUR: FieldRule = FieldRule {
    label: "hour",
    max: 23,
    ..SECOND
};
const DAY: FieldRule = FieldRule {
    label: "day of month",
    min: 1,
    max: 31,
    ..SECOND
};
const MONTH: FieldRule = FieldRule {
    label: "month",
    min: 1,
    max: 12,
    names: &[
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ],
    names_from: 1,
};
const WEEKDAY: FieldRule = FieldRule {
    label: "day of week",
    min: 0,
    max: 7,
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    names_from: 0,
};

const NICKNAMES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

impl FromStr for Cron {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let fields = if text.starts_with('@') {
            NICKNAMES
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(text))
                .map(|(_, fields)| *fields)
                .ok_or_else(|| format!("'{text}' is no cron nickname; there are {}", nicknames()))?
        } else {
            text
        };
        let mut fields: Vec<&str> = fields.split_whitespace().collect();
        if fields.len() == 5 {
            fields.insert(0, "0");
        }
        let [second, minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!(
                "'{text}' has {} fields; a cron expression has 5 (minute hour day month weekday) or 6 with seconds first",
                fields.len()
            ));
        };
        let cron = Self {
            text: text.to_owned(),
            seconds: list(SECOND, second)?,
            minutes: list(MINUTE, minute)?,
            hours: list(HOUR, hour)?,
            months: list(MONTH, month)?,
            days: month_days(day)?,
            weekdays: week_days(weekday)?,
        };
        // The calendar repeats itself after 400 years.
        let (from, until) = (date(2000, 1, 1).at(0, 0, 0, 0), date(2400, 1, 1).at(0, 0, 0, 0));
        if cron.next_civil(from, until).is_none() {
            return Err(format!("'{text}' names a day that never comes"));
        }
        Ok(cron)
    }
}

fn nicknames() -> String {
    NICKNAMES.map(|(name, _)| name).join(", ")
}

fn list(rule: FieldRule, text: &str) -> Result<u64, String> {
    text.split(',').try_fold(0, |bits, item| Ok(bits | rule.bits(item)?))
}

fn month_days(text: &str) -> Result<MonthDays, String> {
    let mut days = MonthDays {
        any: text.starts_with(['*', '?']),
        ..MonthDays::default()
    };
    for item in text.split(',') {
        match item.to_ascii_uppercase().as_str() {
            "L" => days.last = true,
            "LW" | "WL" => days.last_working = true,
            upper => match upper.strip_suffix('W') {
                Some(day) => days.nearest_working |= 1 << DAY.number(day)?,
                None => days.days |= DAY.bits(item)?,
            },
        }
    }
    Ok(days)
}

fn week_days(text: &str) -> Result<WeekDays, String> {
    let mut days = WeekDays {
        any: text.starts_with(['*', '?']),
        ..WeekDays::default()
    };
    for item in text.split(',') {
        if let Some((weekday, nth)) = item.split_once('#') {
            let weekday = usize::from(WEEKDAY.number(weekday)? % 7);
            let nth: u8 = nth
                .parse()
                .ok()
                .filter(|nth| (1..=5).contains(nth))
                .ok_or_else(|| format!("'{item}': after # comes 1 to 5"))?;
            days.nth[weekday] |= 1 << nth;
        } else if let Some(weekday) = item.strip_suffix(['L', 'l']) {
            days.last |= 1 << (WEEKDAY.number(weekday)? % 7);
        } else {
            days.days |= WEEKDAY.bits(item)?;
        }
    }
    // 7 is Sunday, as 0 is.
    days.days = (days.days | days.days >> 7) & 0x7f;
    Ok(days)
}
