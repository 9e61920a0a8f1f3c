//! What commands print: tables for people, JSON for programs; progress and notes go to standard error.

use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Prints a command's results.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    /// An output of this format.
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    /// Whether a program reads it.
    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Prints lines to standard output.
    #[expect(clippy::unused_self, reason = "all output goes through this value")]
    pub(crate) fn text(self, text: &str) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        Ok(out.flush()?)
    }

    /// Prints a value as JSON.
    pub(crate) fn json<T: Serialize>(self, value: &T) -> anyhow::Result<()> {
        self.text(&serde_json::to_string_pretty(value)?)
    }

    /// Prints the value as JSON, or as the table that is made of it.
    pub(crate) fn show<T: Serialize>(
        self,
        value: &T,
        header: &[&str],
        rows: impl FnOnce(&T) -> Vec<Vec<String>>,
    ) -> anyhow::Result<()> {
        if self.is_json() {
            self.json(value)
        } else {
            self.text(&table(header, rows(value)))
        }
    }

    /// Tells people what goes on; programs are not told.
    pub(crate) fn note(self, text: &str) {
        if !self.is_json() {
            // Whoever closed standard error does not want to know.
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }
}

/// Rows under a header, without lines, in columns.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        .set_header(header.iter().map(|title| title.to_uppercase()));
    if io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table.add_rows(rows);
    let columns = header.len();
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index + 1 == columns { 0 } else { 2 }));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// A size for people.
pub(crate) fn size(bytes: u64) -> String {
    const MEGABYTE: u64 = 1024 * 1024;
    format!("{}.{} MB", bytes / MEGABYTE, bytes % MEGABYTE * 10 / MEGABYTE)
}

/// A duration for people: its two largest units.
pub(crate) fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

/// `-` for what is not there.
pub(crate) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_columns_and_no_lines() {
        let rows = vec![
            vec!["server1".to_owned(), "yes".to_owned()],
            vec!["load-balancer".to_owned(), "no".to_owned()],
        ];
        insta::assert_snapshot!(table(&["name", "ready"], rows), @r"
        NAME           READY
        server1        yes
        load-balancer  no
        ");
        assert_eq!(
            (span(59), span(61), span(90_061)),
            ("59s".into(), "1m1s".into(), "1d1h".into())
        );
        assert_eq!(size(1024 * 1024 + 512 * 1024), "1.5 MB");
    }
}
