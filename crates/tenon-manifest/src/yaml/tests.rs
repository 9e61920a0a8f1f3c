//! What is written reads back; what is read means what people expect; what is too much is refused.

use std::fmt::Write;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Node, read, write};
use crate::settings::Settings;

fn value(text: &str) -> Value {
    let documents = read(text, &Settings::default()).unwrap_or_else(|problems| panic!("{text}\n{problems:?}"));
    documents.first().map_or(Value::Null, Node::to_value)
}

fn refusal(text: &str, settings: &Settings) -> String {
    let problems = read(text, settings).expect_err(text);
    problems
        .iter()
        .map(|problem| {
            format!(
                "{}:{} {}",
                problem.position.line, problem.position.column, problem.message
            )
        })
        .collect::<Vec<_>>()
        .join("; ")
}

#[test]
fn unquoted_texts_mean_what_people_expect() {
    for (text, expected) in [
        ("yes", json!("yes")),
        ("no", json!("no")),
        ("on", json!("on")),
        ("true", json!(true)),
        ("~", json!(null)),
        ("10", json!(10)),
        ("-3", json!(-3)),
        ("+3", json!(3)),
        ("1e3", json!(1000.0)),
        ("1.5", json!(1.5)),
        ("0123", json!("0123")),
        ("00", json!("00")),
        ("0", json!(0)),
        ("0x1f", json!(31)),
        ("18446744073709551615", json!(u64::MAX)),
        ("1_000", json!("1_000")),
        ("12:30", json!("12:30")),
        ("2026-12-01", json!("2026-12-01")),
        ("10s", json!("10s")),
        ("1.2.3", json!("1.2.3")),
        ("-", json!([null])),
        ("${VAR}", json!("${VAR}")),
        ("secret:a-b", json!("secret:a-b")),
        ("http://h:1/a?b=c#d", json!("http://h:1/a?b=c#d")),
        ("!!str 10", json!("10")),
        ("\"10\"", json!("10")),
        ("'it''s'", json!("it's")),
        ("\u{feff}a: 1", json!({"a": 1})),
        ("a:\n  - b\n  -\n", json!({"a": ["b", null]})),
        ("a: |\n  x\n  y\n", json!({"a": "x\ny\n"})),
        (
            "base: &b {x: 1, y: 2}\nmore:\n  <<: *b\n  y: 3\n",
            json!({"base": {"x": 1, "y": 2}, "more": {"y": 3, "x": 1}}),
        ),
    ] {
        assert_eq!(value(text), expected, "{text:?}");
    }
}

#[test]
fn json_is_read_as_it_is() {
    let text = "{\n\t\"a\": [1, -2.5, \"x\\u00e9\\n\\/\", null, true],\n\t\"b\": {\"c\":{}},\"d\":[]\n}\n";
    assert_eq!(value(text), serde_json::from_str::<Value>(text).unwrap());
    for pairs in [r#"{"a": "\ud83d\ude00"}"#, r#" [ "\\\uD83D\uDE00\\ud83d" ] "#] {
        assert_eq!(value(pairs), serde_json::from_str::<Value>(pairs).unwrap(), "{pairs}");
    }
}

#[test]
fn broken_texts_are_refused_with_their_place() {
    let settings = Settings {
        nodes_max: 1000,
        depth_max: 20,
        ..Settings::default()
    };
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (from, to) in "abcdefghi".chars().zip("bcdefghij".chars()) {
        writeln!(
            bomb,
            "{to}: &{to} [*{from},*{from},*{from},*{from},*{from},*{from},*{from},*{from},*{from}]"
        )
        .unwrap();
    }
    let deep = "[".repeat(10_000);
    let deep_block = (0..200).fold(String::new(), |text, depth| {
        text + &" ".repeat(depth)
            + "a:
"
    });
    let texts = [
        "a: [1, 2",
        "a: b: c",
        "a:\n\t- b",
        "a: \"x",
        "a: 1\nb: 2\na: 3\nb: 4",
        "a: .nan",
        "a: 99999999999999999999",
        "a: 1e999",
        "? [x]\n: y",
        "a: &x [*x]",
        "a: *nothing",
        "a: !custom 1",
        "a: !!binary aGk=",
        "<<: 1",
        "a: 'x\n",
        &bomb,
        &deep,
        &deep_block,
    ];
    let refusals: Vec<String> = texts
        .iter()
        .map(|text| {
            format!(
                "{:?}\n  {}",
                text.chars().take(24).collect::<String>(),
                refusal(text, &settings)
            )
        })
        .collect();
    insta::assert_snapshot!(refusals.join("\n"));
}

/// Texts that some reader takes for something else, and some that only look so.
const ODD_TEXTS: &[&str] = &[
    "plain",
    "my.report.job",
    "yes",
    "No",
    "null",
    "1e3",
    "0123",
    "0x1f",
    "12:30:45",
    "2026-12-01",
    "10s",
    "1h30m",
    "",
    " a",
    "a ",
    "a: b",
    "a:",
    "a #b",
    "a#b",
    "-x",
    "- x",
    "[x]",
    "{x}",
    "&x",
    "*x",
    "!x",
    "@x",
    "%x",
    "`x",
    "'x'",
    "\"x\"",
    "x\"y",
    "a,b",
    "${VAR}",
    "secret:billing",
    "http://127.0.0.1:9000/a?b=c",
    "/api/{id}",
    "Größe",
    "naïve – dash",
    "😀",
    "tab\there",
    "line\nline",
    "line\nline\n",
    "line\n\n",
    "\nline",
    "  x\ny",
    "x \ny",
    "bell\u{7}",
    "nbsp\u{a0}",
    "bom\u{feff}",
    "---",
    "...",
    "=",
    "<<",
    "~",
    "?",
    "? x",
    "|",
    ">",
    "1_000",
    "0o17",
    "+1",
    ".5",
    ".",
    "..",
    "5.",
    "\u{85}",
    "\u{2028}",
];

#[test]
fn texts_are_quoted_where_a_reader_could_take_them_for_something_else() {
    let list = json!(ODD_TEXTS);
    let text = write(&list);
    assert_eq!(value(&text), list);
    insta::assert_snapshot!(text);
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,12}",
        "[a-z:#\\-\\[\\]{}&*!|>'\"%@` \n\t]{0,10}",
        "[0-9eExXobB_.:+-]{1,8}",
        "([a-z]{0,3}[ ]{0,2}\n{0,2}){0,5}",
        Just("a".repeat(2000)),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(Value::from),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((any_text(), inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn what_is_written_reads_back(expected in any_value()) {
        let text = write(&expected);
        let found = read(&text, &Settings::default());
        let found = found.map(|documents| documents.first().map_or(Value::Null, Node::to_value));
        prop_assert_eq!(found, Ok(expected), "{}", text);
    }

    #[test]
    fn no_text_breaks_the_reader(text in any_text(), more in "[a-c:&*<\\[\\]{},?|>\\-#'\" \n]{0,60}") {
        let _ = read(&text, &Settings::default());
        let _ = read(&more, &Settings::default());
    }
}
