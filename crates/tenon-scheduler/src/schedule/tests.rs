//! Schedules against instants found by going through every second of civil time around clock changes.

use std::collections::BTreeSet;
use std::fmt::Write;

use jiff::ToSpan;
use jiff::tz::{AmbiguousOffset, TimeZone};
use proptest::prelude::*;
use serde_json::{Value, json};
use tenon_model::{Kind, Timestamp};

use super::{Schedule, next_after};
use crate::config::JobConfig;
use crate::cron::Cron;

fn job(mut fields: Value) -> JobConfig {
    fields["service"] = json!("reports.daily");
    serde_json::from_value(fields).expect("a job")
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

/// The first instants after `from`, as text.
fn instants(fields: Value, from: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::compile(&job(fields)).expect("a schedule");
    std::iter::successors(schedule.next_after(at(from)), |instant| schedule.next_after(*instant))
        .take(count)
        .map(|instant| instant.to_string().replace(".000Z", "Z"))
        .collect()
}

#[test]
fn intervals_count_from_their_start_or_from_1970() {
    assert_eq!(
        instants(json!({"every": "10s"}), "2026-11-23T02:10:03.5Z", 2),
        ["2026-11-23T02:10:10Z", "2026-11-23T02:10:20Z"]
    );
    assert_eq!(
        instants(json!({"every": "10s"}), "2026-11-23T02:10:10Z", 1),
        ["2026-11-23T02:10:20Z"]
    );
    let started = json!({"every": "1h30m", "start": "2026-11-23T09:15:00", "end": "2026-11-23T12:15:00+01:00", "timezone": "Europe/Berlin"});
    assert_eq!(
        instants(started, "2026-01-01T00:00:00Z", 9),
        ["2026-11-23T08:15:00Z", "2026-11-23T09:45:00Z", "2026-11-23T11:15:00Z"]
    );
}

#[test]
fn one_time_jobs_have_one_instant() {
    for (written, instant) in [
        ("2026-12-01T08:00:00Z", "2026-12-01T08:00:00Z"),
        ("2026-12-01T08:00:00+05:30", "2026-12-01T02:30:00Z"),
        ("2026-12-01T08:00:00", "2026-12-01T07:00:00Z"),
        ("2026-12-01 08:00", "2026-12-01T07:00:00Z"),
        // Does not exist: the instant of the change. Exists twice: the first.
        ("2026-03-29T02:30:00", "2026-03-29T01:00:00Z"),
        ("2026-10-25T02:30:00", "2026-10-25T00:30:00Z"),
    ] {
        let fields = json!({"at": written, "timezone": "Europe/Berlin"});
        assert_eq!(instants(fields, "2026-01-01T00:00:00Z", 3), [instant], "{written}");
    }
    assert_eq!(
        next_after(&job(json!({"at": "2026-12-01T08:00:00Z"})), at("2026-12-01T08:00:00Z")),
        None
    );
}

#[test]
fn clock_changes_follow_the_policy() {
    // Berlin: 02:00 became 03:00 on 2026-03-29 (01:00Z); 03:00 became 02:00 on 2026-10-25 (01:00Z).
    let fixed = |dst: Value| json!({"cron": "*/30 2 * * *", "timezone": "Europe/Berlin", "dst": dst});
    let spring = "2026-03-28T12:00:00Z";
    assert_eq!(
        instants(fixed(json!({})), spring, 2),
        ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"]
    );
    assert_eq!(
        instants(fixed(json!({"gap": "skip"})), spring, 2),
        ["2026-03-30T00:00:00Z", "2026-03-30T00:30:00Z"]
    );
    let autumn = "2026-10-24T12:00:00Z";
    assert_eq!(
        instants(fixed(json!({})), autumn, 3),
        ["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:00:00Z"]
    );
    assert_eq!(
        instants(fixed(json!({"overlap": "second"})), autumn, 3),
        ["2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:00:00Z"]
    );
    assert_eq!(
        instants(fixed(json!({"overlap": "both"})), autumn, 4),
        [
            "2026-10-25T00:00:00Z",
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T01:30:00Z"
        ]
    );
    // What has instants in every hour goes on evenly through both.
    let hourly = json!({"cron": "0 * * * *", "timezone": "Europe/Berlin"});
    assert_eq!(
        instants(hourly.clone(), "2026-03-29T00:30:00Z", 2),
        ["2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"]
    );
    assert_eq!(
        instants(hourly, "2026-10-25T00:30:00Z", 2),
        ["2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"]
    );
    // A whole day that a zone left out (Samoa crossed the date line).
    let daily = json!({"cron": "0 12 * * *", "timezone": "Pacific/Apia"});
    assert_eq!(
        instants(daily, "2011-12-29T00:00:00Z", 3),
        ["2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"]
    );
}

#[test]
fn schedules_read_as_words() {
    for (fields, words) in [
        (json!({"every": "90s"}), "every 1m30s"),
        (json!({"cron": "0 3 * * *"}), "cron 0 3 * * *"),
        (
            json!({"cron": "0 3 * * *", "timezone": "Europe/Berlin"}),
            "cron 0 3 * * * in Europe/Berlin",
        ),
        (json!({"at": "2026-12-01T09:00:00+01:00"}), "at 2026-12-01T08:00:00Z"),
    ] {
        assert_eq!(Schedule::compile(&job(fields)).unwrap().words(), words);
    }
}

#[test]
fn what_is_wrong_with_a_job_is_said_field_by_field() {
    let kind = Kind::of::<JobConfig>();
    assert_eq!(kind.service_fields, ["service"]);
    let mut said = String::new();
    for body in [
        json!({"service": "a"}),
        json!({"service": "a", "every": "10s", "cron": "* * * * *"}),
        json!({"service": "", "every": "10ms", "repeats": 0, "timeout": "0s"}),
        json!({"service": "a", "every": "10"}),
        json!({"service": "a", "cron": "* * *"}),
        json!({"service": "a", "cron": "* * * * *", "timezone": "Europe/Berlon"}),
        json!({"service": "a", "at": "tomorrow"}),
        json!({"service": "a", "at": "2026-12-01"}),
        json!({"service": "a", "every": "10s", "start": "2026-12-02T00:00:00Z", "end": "2026-12-01T00:00:00Z"}),
        json!({"service": "a", "every": "10s", "retries": {"attempts": 0, "max_delay": "1s"}}),
        json!({"service": "a", "every": "10s", "dst": {"gap": "skip"}}),
        json!({"service": "a", "every": "10s", "overlap": "wait"}),
        json!({"service": "a", "every": "10s", "retries": {"attemps": 2}}),
    ] {
        writeln!(said, "{body}").unwrap();
        for problem in kind.check(&body) {
            writeln!(said, "  {problem}").unwrap();
        }
    }
    insta::assert_snapshot!(said);
}

/// Zones with a change at which to look, and what is special about it.
const CHANGES: [(&str, &str); 10] = [
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),       // forward an hour
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),       // back an hour
    ("America/New_York", "2027-11-07T06:00:00Z"),    // back an hour
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"), // forward half an hour
    ("Australia/Lord_Howe", "2027-04-03T15:00:00Z"), // back half an hour
    ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),   // forward at midnight
    ("America/Sao_Paulo", "2018-02-18T02:00:00Z"),   // back at midnight
    ("Asia/Kathmandu", "2026-03-29T01:00:00Z"),      // no change, an odd offset
    ("Africa/Casablanca", "2026-02-15T02:00:00Z"),   // back for Ramadan
    ("Africa/Monrovia", "1972-01-07T00:44:30Z"),     // forward by 44 minutes 30 seconds
];

/// Every instant of the window that a cron job has by its definition, found second by second.
fn brute_force(cron: &Cron, zone: &TimeZone, config: &JobConfig, from: i64, until: i64) -> Vec<i64> {
    use crate::config::{Fold, Gap};
    let hourly = cron.is_hourly();
    let (first, second) = match config.dst.overlap {
        Fold::Both => (true, true),
        Fold::First => (true, false),
        Fold::Second => (false, true),
        Fold::Auto => (true, hourly),
    };
    let in_gap = match config.dst.gap {
        Gap::Run => true,
        Gap::Skip => false,
        Gap::Auto => !hourly,
    };
    let mut found = BTreeSet::new();
    for second_of_time in from + 1..=until {
        let instant = jiff::Timestamp::from_second(second_of_time).unwrap();
        let civil = zone.to_datetime(instant);
        let mut skipped = zone
            .to_datetime(jiff::Timestamp::from_second(second_of_time - 1).unwrap())
            .checked_add(1.second())
            .unwrap();
        while skipped < civil {
            if in_gap && cron.matches(skipped) {
                found.insert(second_of_time);
            }
            skipped = skipped.checked_add(1.second()).unwrap();
        }
        let local = zone.to_ambiguous_timestamp(civil);
        let wanted = match local.offset() {
            AmbiguousOffset::Fold { .. } if local.earlier().unwrap() == instant => first,
            AmbiguousOffset::Fold { .. } => second,
            _ => true,
        };
        if wanted && cron.matches(civil) {
            found.insert(second_of_time);
        }
    }
    found.into_iter().collect()
}

fn field(max: u8) -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just("*".to_owned()),
        3 => (0..=max).prop_map(|number| number.to_string()),
        2 => (0..=max, 0..=max).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        2 => (1..=max).prop_map(|step| format!("*/{step}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn cron_jobs_have_the_instants_that_civil_time_has(
        place in 0..CHANGES.len(),
        second in prop_oneof![4 => Just("0".to_owned()), 1 => field(59)],
        minute in field(59),
        hour in prop_oneof![1 => Just("*".to_owned()), 2 => (0..5_u8, 0..5_u8).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))), 1 => field(23)],
        gap in prop_oneof![Just("auto"), Just("skip"), Just("run")],
        overlap in prop_oneof![Just("auto"), Just("first"), Just("second"), Just("both")],
        before in 0..9000_i64,
    ) {
        let (zone, change) = CHANGES[place];
        let text = format!("{second} {minute} {hour} * * *");
        let config = job(json!({"cron": text, "timezone": zone, "dst": {"gap": gap, "overlap": overlap}}));
        let schedule = Schedule::compile(&config).unwrap();
        let from = at(change).as_millis() / 1000 - before;
        let until = at(change).as_millis() / 1000 + 3 * 3600;
        let expected = brute_force(&text.parse().unwrap(), &TimeZone::get(zone).unwrap(), &config, from, until);
        let mut instant = Timestamp::from_millis(from * 1000);
        let mut found = Vec::new();
        while let Some(next) = schedule.next_after(instant).filter(|next| next.as_millis() <= until * 1000) {
            prop_assert!(next > instant);
            found.push(next.as_millis() / 1000);
            instant = next;
        }
        prop_assert_eq!(found, expected);
    }
}
