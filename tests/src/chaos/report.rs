//! What came of scenarios, for people, programs and pages.

use std::time::Duration;

use serde_json::{Value, json};

use super::run::Outcome;

const HEADINGS: [&str; 11] = [
    "scenario",
    "acts",
    "answered",
    "retried inside",
    "by client",
    "unknown",
    "failed",
    "duplicates",
    "p99 before",
    "during",
    "after",
];

/// A table of columns.
pub fn table(outcomes: &[Outcome]) -> String {
    let rows: Vec<[String; 11]> = outcomes.iter().map(cells).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([HEADINGS[column].len()]).max().unwrap_or_default()
    };
    let line = |cells: [&str; 11]| {
        let padded = cells.iter().enumerate().map(|(column, cell)| match column {
            0 => format!("{cell:<0$}", width(column)),
            _ => format!("{cell:>0$}", width(column)),
        });
        padded.collect::<Vec<_>>().join("  ")
    };
    let lines = rows.iter().map(|row| line(row.each_ref().map(String::as_str)));
    std::iter::once(line(HEADINGS))
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The same as Markdown.
pub fn markdown(outcomes: &[Outcome]) -> String {
    let rows = outcomes
        .iter()
        .map(|outcome| format!("| {} |", cells(outcome).join(" | ")));
    let rule = format!("|---|{}", "---:|".repeat(HEADINGS.len() - 1));
    let head = [format!("| {} |", HEADINGS.join(" | ")), rule];
    head.into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

/// The same as JSON, with reasons.
pub fn json(outcomes: &[Outcome]) -> Value {
    let micros = |duration: &Option<Duration>| duration.map(|duration| duration.as_micros());
    let rows = outcomes.iter().map(|outcome| {
        json!({
            "scenario": outcome.name,
            "acts": outcome.acts,
            "undone": outcome.undone,
            "answered": outcome.counts.answered,
            "retried_inside": outcome.counts.retried_inside,
            "retried_by_client": outcome.counts.retried_by_client,
            "unknown": outcome.counts.unknown,
            "failed": outcome.counts.failed,
            "duplicates": outcome.duplicates,
            "p99_micros": outcome.p99.iter().map(micros).collect::<Vec<_>>(),
            "reasons": outcome.reasons,
        })
    });
    rows.collect()
}

fn cells(outcome: &Outcome) -> [String; 11] {
    let counts = &outcome.counts;
    let [before, during, after] = outcome.p99.map(millis);
    [
        outcome.name.clone(),
        outcome.acts.to_string(),
        counts.answered.to_string(),
        counts.retried_inside.to_string(),
        counts.retried_by_client.to_string(),
        counts.unknown.to_string(),
        counts.failed.to_string(),
        outcome.duplicates.to_string(),
        before,
        during,
        after,
    ]
}

fn millis(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "-".to_owned(), |duration| format!("{} ms", duration.as_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Counts;

    fn outcome() -> Outcome {
        Outcome {
            name: "kill-server1".to_owned(),
            acts: 3,
            undone: Vec::new(),
            counts: Counts {
                answered: 1_000,
                retried_inside: 7,
                retried_by_client: 2,
                unknown: 1,
                failed: 0,
            },
            duplicates: 0,
            p99: [
                Some(Duration::from_micros(4_200)),
                Some(Duration::from_millis(90)),
                None,
            ],
            reasons: vec!["Unknown 1 × Post: told so with 502 (request 9)".to_owned()],
        }
    }

    #[test]
    fn columns_stand_under_their_headings() {
        let text = table(&[outcome()]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].len(), lines[1].len());
        let end = lines[0].find("unknown").unwrap() + "unknown".len();
        assert!(lines[1][..end].ends_with(" 1"));
        assert!(markdown(&[outcome()]).ends_with("| 4 ms | 90 ms | - |"));
        assert_eq!(json(&[outcome()])[0]["retried_inside"], 7);
    }
}
