//! Cron expressions against civil times found by going through every second.

use jiff::ToSpan;
use jiff::civil::{DateTime, date};
use proptest::prelude::*;

use super::Cron;

fn cron(text: &str) -> Cron {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn next(text: &str, from: DateTime) -> DateTime {
    let until = from.checked_add(100.years()).unwrap();
    cron(text).next_civil(from, until).expect("an instant")
}

#[test]
fn expressions_name_the_civil_times_that_people_expect() {
    let from = date(2026, 11, 23).at(2, 10, 30, 0); // a Monday
    for (text, expected) in [
        ("* * * * *", date(2026, 11, 23).at(2, 11, 0, 0)),
        ("* * * * * *", date(2026, 11, 23).at(2, 10, 30, 0)),
        ("*/20 * * * * *", date(2026, 11, 23).at(2, 10, 40, 0)),
        ("5/10 * * * *", date(2026, 11, 23).at(2, 15, 0, 0)),
        ("0 3 * * *", date(2026, 11, 23).at(3, 0, 0, 0)),
        ("0 2 * * *", date(2026, 11, 24).at(2, 0, 0, 0)),
        ("30 8-17/3 * * MON-FRI", date(2026, 11, 23).at(8, 30, 0, 0)),
        ("0 0 * * sun", date(2026, 11, 29).at(0, 0, 0, 0)),
        ("0 0 * * 7", date(2026, 11, 29).at(0, 0, 0, 0)),
        ("0 0 * * FRI-SUN", date(2026, 11, 27).at(0, 0, 0, 0)),
        ("0 0 1 JAN *", date(2027, 1, 1).at(0, 0, 0, 0)),
        ("0 0 29 2 *", date(2028, 2, 29).at(0, 0, 0, 0)),
        ("0 0 L * *", date(2026, 11, 30).at(0, 0, 0, 0)),
        ("0 0 28W 11 *", date(2026, 11, 27).at(0, 0, 0, 0)),
        ("0 0 1W 8 *", date(2027, 8, 2).at(0, 0, 0, 0)),
        ("0 0 LW 1 *", date(2027, 1, 29).at(0, 0, 0, 0)),
        ("0 0 * * TUE#1", date(2026, 12, 1).at(0, 0, 0, 0)),
        ("0 0 * * 5L", date(2026, 11, 27).at(0, 0, 0, 0)),
        // Either day field may match when both are given.
        ("0 0 13 * FRI", date(2026, 11, 27).at(0, 0, 0, 0)),
        // A star, even with a step, leaves the days to the other field.
        ("0 0 */2 * TUE", date(2026, 12, 1).at(0, 0, 0, 0)),
        ("@weekly", date(2026, 11, 29).at(0, 0, 0, 0)),
    ] {
        assert_eq!(next(text, from), expected, "{text}");
    }
}

#[test]
fn what_is_no_cron_expression_is_refused_with_the_reason() {
    let refused: Vec<String> = [
        "",
        "* * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "a * * * *",
        "*/0 * * * *",
        "5-1 * * * *",
        "0 0 30 2 *",
        "@reboot",
        "* * * * MON#6",
        "+5 * * * *",
        "1,,2 * * * *",
        "-1 * * * *",
    ]
    .iter()
    .map(|text| text.parse::<Cron>().expect_err(text))
    .collect();
    insta::assert_snapshot!(refused.join("\n"));
}

fn field(min: u8, max: u8) -> impl Strategy<Value = String> {
    let number = min..=max;
    prop_oneof![
        3 => Just("*".to_owned()),
        2 => number.clone().prop_map(|number| number.to_string()),
        2 => (number.clone(), number.clone()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (1..=max).prop_map(|step| format!("*/{step}")),
        1 => (number.clone(), number).prop_map(|(a, b)| format!("{a},{b}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// The search finds the first match, and nothing lies between.
    #[test]
    fn the_search_agrees_with_going_through_every_second(
        second in field(0, 59), minute in field(0, 59), hour in field(0, 23), weekday in field(0, 6), offset in 0..400_000_i64,
    ) {
        let cron = cron(&format!("{second} {minute} {hour} * * {weekday}"));
        let from = date(2026, 2, 26).at(0, 0, 0, 0).checked_add(offset.seconds()).unwrap();
        let until = from.checked_add(1.day()).unwrap();
        let brute = (0..86_400_i64).map(|second| from.checked_add(second.seconds()).unwrap()).find(|civil| cron.matches(*civil));
        prop_assert_eq!(cron.next_civil(from, until), brute);
    }
}
