//! When a job is due: pure functions from a schedule and an instant to the next instant.
//!
//! Cron expressions speak of civil time; this module walks a time zone from one change of its clocks to the next and says what
//! becomes of local times that don't exist or exist twice. Knows nothing of stores, runs or policies about them.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use tenon_model::{DurationText, FieldProblem, Timestamp};

use crate::config::{Fold, Gap, JobConfig};
use crate::cron::Cron;

/// The shortest interval of a job.
const EVERY_MIN: DurationText = DurationText::from_secs(1);

/// Years that a search looks ahead: no date of the calendar is rarer.
const HORIZON_YEARS: i64 = 120;

/// A job's schedule, ready to be asked.
#[derive(Debug, Clone)]
pub struct Schedule {
    rule: Rule,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    words: String,
}

#[derive(Debug, Clone)]
enum Rule {
    Every { period_ms: i64, anchor_ms: i64 },
    Cron(Box<ZonedCron>),
    At(Timestamp),
}

/// The first instant of a job's schedule after another; none if there is none, or if the job is not valid.
pub fn next_after(config: &JobConfig, instant: Timestamp) -> Option<Timestamp> {
    Schedule::compile(config).ok()?.next_after(instant)
}

impl Schedule {
    /// Reads the schedule of a job.
    pub fn compile(config: &JobConfig) -> Result<Self, Vec<FieldProblem>> {
        let mut problems = Vec::new();
        let zone = TimeZone::get(&config.timezone).unwrap_or_else(|_| {
            problems.push(FieldProblem::new(
                "timezone",
                format!(
                    "'{}' is no time zone; write an IANA name such as Europe/Berlin",
                    config.timezone
                ),
            ));
            TimeZone::UTC
        });
        let mut instant = |field: &str, text: Option<&String>| {
            let text = text?;
            read_instant(text, &zone)
                .map_err(|message| problems.push(FieldProblem::new(field, message)))
                .ok()
        };
        let start = instant("start", config.start.as_ref());
        let end = instant("end", config.end.as_ref());
        let at = instant("at", config.at.as_ref());
        if let (Some(start), Some(end)) = (start, end)
            && end < start
        {
            problems.push(FieldProblem::new("end", "it is before 'start'"));
        }
        let rule = match (config.every, &config.cron, &config.at) {
            (Some(every), None, None) => every_rule(every, start),
            (None, Some(text), None) => cron_rule(text, &zone, config),
            (None, None, Some(_)) => Ok(Rule::At(at.unwrap_or_default())),
            (None, None, None) => Err(FieldProblem::new("", "write one of 'every', 'cron' and 'at'")),
            _ => Err(FieldProblem::new("", "write only one of 'every', 'cron' and 'at'")),
        };
        match rule {
            Ok(rule) if problems.is_empty() => Ok(Self {
                words: words(&rule, config),
                rule,
                start,
                end,
            }),
            Ok(_) => Err(problems),
            Err(problem) => {
                problems.push(problem);
                Err(problems)
            }
        }
    }

    /// The first instant after another; none if there is none any more.
    pub fn next_after(&self, instant: Timestamp) -> Option<Timestamp> {
        // The start itself may be an instant of the schedule.
        let instant = self.start.map_or(instant, |start| {
            instant.max(Timestamp::from_millis(start.as_millis() - 1))
        });
        let next = match &self.rule {
            Rule::Every { period_ms, anchor_ms } => {
                let periods = (instant.as_millis() - anchor_ms).div_euclid(*period_ms) + 1;
                Timestamp::from_millis(anchor_ms + periods * period_ms)
            }
            Rule::Cron(cron) => cron.next_after(instant)?,
            Rule::At(at) => Some(*at).filter(|at| *at > instant)?,
        };
        self.end.is_none_or(|end| next <= end).then_some(next)
    }

    /// The schedule's one instant, if it has just one.
    pub fn only_instant(&self) -> Option<Timestamp> {
        match self.rule {
            Rule::At(at) => Some(at),
            _ => None,
        }
    }

    /// The schedule in words: `every 10s`, `cron 0 3 * * * in Europe/Berlin`, `at 2026-12-01T08:00:00Z`.
    pub fn words(&self) -> &str {
        &self.words
    }
}

fn every_rule(every: DurationText, start: Option<Timestamp>) -> Result<Rule, FieldProblem> {
    let period_ms = i64::try_from(every.0.as_millis()).ok().filter(|ms| *ms <= i64::MAX / 4);
    match period_ms {
        Some(period_ms) if every >= EVERY_MIN => Ok(Rule::Every {
            period_ms,
            anchor_ms: start.unwrap_or_default().as_millis(),
        }),
        Some(_) => Err(FieldProblem::new("every", format!("at least {EVERY_MIN}"))),
        None => Err(FieldProblem::new("every", "longer than time can be counted")),
    }
}

fn cron_rule(text: &str, zone: &TimeZone, config: &JobConfig) -> Result<Rule, FieldProblem> {
    let cron: Cron = text
        .parse()
        .map_err(|message: String| FieldProblem::new("cron", message))?;
    Ok(Rule::Cron(Box::new(ZonedCron::new(cron, zone.clone(), config))))
}

fn words(rule: &Rule, config: &JobConfig) -> String {
    match rule {
        Rule::Every { .. } => config.every.map_or_else(String::new, |every| format!("every {every}")),
        Rule::Cron(cron) if config.timezone == "UTC" => format!("cron {}", cron.cron.as_str()),
        Rule::Cron(cron) => format!("cron {} in {}", cron.cron.as_str(), config.timezone),
        Rule::At(at) => jiff::Timestamp::from_millisecond(at.as_millis())
            .map_or_else(|_| format!("at {at}"), |instant| format!("at {instant}")),
    }
}

/// An instant from RFC 3339, or from a local time of a zone. A local time that does not exist counts as the instant of the
/// clock change; of one that exists twice the first counts.
fn read_instant(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Ok(Timestamp::from_millis(instant.as_millisecond()));
    }
    let wrong = || {
        format!(
            "'{text}' is no instant; write it as 2026-12-01T08:00:00Z, or as 2026-12-01T08:00:00 for a local time of 'timezone'"
        )
    };
    if text.contains('[') || !text.contains([':', 'T', ' ']) {
        return Err(wrong());
    }
    let civil: DateTime = text.parse().map_err(|_| wrong())?;
    let local = zone.to_ambiguous_timestamp(civil);
    let instant = match local.offset() {
        jiff::tz::AmbiguousOffset::Gap { before, .. } => {
            let inside = before.to_timestamp(civil).map_err(|_| wrong())?;
            Ok(Stretch::around(zone, inside).start)
        }
        _ => local.earlier(),
    };
    Ok(Timestamp::from_millis(instant.map_err(|_| wrong())?.as_millisecond()))
}

/// A cron expression in a time zone, with what happens when clocks change.
#[derive(Debug, Clone)]
struct ZonedCron {
    cron: Cron,
    zone: TimeZone,
    runs_in_gap: bool,
    runs_first: bool,
    runs_second: bool,
}

/// A time between two changes of a zone's clocks.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    /// The change that began it.
    start: jiff::Timestamp,
    /// The change that ends it.
    end: jiff::Timestamp,
    /// The offset before it, in it, and after it.
    offsets: [Offset; 3],
}

impl Stretch {
    /// The stretch that holds an instant.
    fn around(zone: &TimeZone, instant: jiff::Timestamp) -> Self {
        let mut here = instant.checked_add(jiff::Span::new().nanoseconds(1)).unwrap_or(instant);
        let inside = zone.to_offset(instant);
        // Zone data has changes that leave the offset as it is; they don't count.
        let start = loop {
            match zone.preceding(here).next() {
                Some(change) if offset_before(zone, change.timestamp()) != inside => break change.timestamp(),
                Some(change) => here = change.timestamp(),
                None => break jiff::Timestamp::MIN,
            }
        };
        let mut changes = zone
            .following(instant)
            .map(|change| (change.timestamp(), change.offset()));
        let (end, after) = changes
            .find(|(_, offset)| *offset != inside)
            .unwrap_or((jiff::Timestamp::MAX, inside));
        Self {
            start,
            end,
            offsets: [offset_before(zone, start), inside, after],
        }
    }

    fn civil(&self, instant: jiff::Timestamp) -> DateTime {
        self.offsets[1].to_datetime(instant)
    }

    fn instant(&self, civil: DateTime) -> Option<jiff::Timestamp> {
        self.offsets[1].to_timestamp(civil).ok()
    }
}

fn offset_before(zone: &TimeZone, change: jiff::Timestamp) -> Offset {
    let before = change.checked_sub(jiff::Span::new().nanoseconds(1)).unwrap_or(change);
    zone.to_offset(before)
}

impl ZonedCron {
    fn new(cron: Cron, zone: TimeZone, config: &JobConfig) -> Self {
        let hourly = cron.is_hourly();
        let fold = match config.dst.overlap {
            Fold::Auto if hourly => Fold::Both,
            Fold::Auto => Fold::First,
            other => other,
        };
        Self {
            runs_in_gap: match config.dst.gap {
                Gap::Auto => !hourly,
                Gap::Run => true,
                Gap::Skip => false,
            },
            runs_first: matches!(fold, Fold::First | Fold::Both),
            runs_second: matches!(fold, Fold::Second | Fold::Both),
            cron,
            zone,
        }
    }

    fn next_after(&self, instant: Timestamp) -> Option<Timestamp> {
        let instant = jiff::Timestamp::from_millisecond(instant.as_millis()).ok()?;
        let whole = jiff::Timestamp::from_second(instant.as_second()).ok()?;
        let mut from = if whole > instant {
            whole
        } else {
            whole.checked_add(jiff::SignedDuration::from_secs(1)).ok()?
        };
        let horizon = jiff::SignedDuration::from_hours(HORIZON_YEARS * 366 * 24);
        let horizon = from.checked_add(horizon).unwrap_or(jiff::Timestamp::MAX);
        while from < horizon {
            let stretch = Stretch::around(&self.zone, from);
            if from == stretch.start && self.runs_in_gap && self.is_in_gap(&stretch) {
                return Some(Timestamp::from_millis(from.as_millisecond()));
            }
            if let Some(found) = self.next_in(&stretch, from, horizon) {
                return Some(Timestamp::from_millis(found.as_millisecond()));
            }
            if stretch.end == jiff::Timestamp::MAX {
                return None;
            }
            from = stretch.end;
        }
        None
    }

    /// Whether the clock change that began the stretch took matching local times away.
    fn is_in_gap(&self, stretch: &Stretch) -> bool {
        let [before, inside, _] = stretch.offsets;
        let (from, until) = (before.to_datetime(stretch.start), inside.to_datetime(stretch.start));
        from < until && self.cron.next_civil(from, until).is_some()
    }

    /// The first instant of the stretch from `from` on.
    fn next_in(&self, stretch: &Stretch, from: jiff::Timestamp, horizon: jiff::Timestamp) -> Option<jiff::Timestamp> {
        let [before, inside, after] = stretch.offsets;
        let mut first = stretch.civil(from);
        let mut last = stretch.civil(stretch.end.min(horizon));
        if !self.runs_second && stretch.start > jiff::Timestamp::MIN {
            // Local times up to this one were there before the clocks went back.
            first = first.max(before.to_datetime(stretch.start));
        }
        if !self.runs_first && after.seconds() < inside.seconds() && stretch.end <= horizon {
            // Local times from this one on come again after the clocks go back.
            last = last.min(after.to_datetime(stretch.end));
        }
        self.cron
            .next_civil(first, last)
            .and_then(|civil| stretch.instant(civil))
    }
}

#[cfg(test)]
mod tests;
