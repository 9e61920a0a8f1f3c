//! The table of what service files of Zato use and whether Tenon has it, made of `docs/zato-api.toml` and the conformance cases.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, bail};
use toml::{Table, Value};

use crate::run::root;

const INTRODUCTION: &str = "\
# Zato's API for services

<!-- Made by `cargo xtask generate` of docs/zato-api.toml and tests/conformance/; don't edit. -->

What service files of Zato use, how often it is met, and whether Tenon has it. What is in is there with Zato's meaning, and a case of the
conformance folder (`tests/conformance/`) proves it through a cluster of two servers. Where the meaning differs, [from-zato.md](from-zato.md) says so.
";

/// Cases by the name of what they cover.
type Coverage = BTreeMap<String, Vec<String>>;

/// The page; an error if a case covers what is in no row, or if nothing is said of a row.
pub(crate) fn page() -> anyhow::Result<String> {
    let data: Table = std::fs::read_to_string(root().join("docs/zato-api.toml"))?.parse()?;
    let mut coverage = read_coverage(&root().join("tests/conformance"))?;
    let mut page = INTRODUCTION.to_owned();
    let mut missing = Vec::new();
    for section in list(&data, "section")? {
        let section = section.as_table().context("a section is a table")?;
        write!(page, "\n## {}\n\n", text(section, "title")?)?;
        page.push_str("| item | met | meaning | status |\n|---|---|---|---|\n");
        for row in list(section, "row")? {
            let row = row.as_table().context("a row is a table")?;
            let name = text(row, "name")?;
            let cases = coverage.remove(name).unwrap_or_default();
            let (status, is_in) = status(row, &cases)?;
            if !is_in {
                missing.push(format!("`{name}`"));
            }
            let (frequency, means) = (text(row, "frequency")?, text(row, "means")?);
            writeln!(page, "| `{name}` | {frequency} | {means} | {status} |")?;
        }
    }
    if let Some((name, cases)) = coverage.first_key_value() {
        bail!("'{name}' of {cases:?} is no row of docs/zato-api.toml");
    }
    writeln!(page, "\nNot in: {}.", missing.join(", "))?;
    Ok(page)
}

/// What is said of a row, and whether it is in.
fn status(row: &Table, cases: &[String]) -> anyhow::Result<(String, bool)> {
    let optional = |key: &str| row.get(key).and_then(Value::as_str);
    if !cases.is_empty() {
        return Ok((format!("in: {}", cases.join(", ")), true));
    }
    if let Some(tests) = optional("tested") {
        if !root().join(tests).is_file() {
            bail!("{tests} does not exist");
        }
        return Ok((format!("in: {tests}"), true));
    }
    match optional("instead") {
        Some(instead) => Ok((format!("not in; {instead}"), false)),
        None => bail!("no case covers '{}'", text(row, "name")?),
    }
}

/// The `covers:` lines of all cases.
fn read_coverage(folder: &Path) -> anyhow::Result<Coverage> {
    let mut coverage = Coverage::new();
    let mut groups: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    groups.sort_by_key(std::fs::DirEntry::file_name);
    for group in groups.iter().filter(|group| group.path().is_dir()) {
        let mut files: Vec<_> = std::fs::read_dir(group.path())?.collect::<Result<_, _>>()?;
        files.sort_by_key(std::fs::DirEntry::file_name);
        for file in files.iter().map(std::fs::DirEntry::path) {
            if file.extension().is_some_and(|extension| extension == "yaml") {
                let stem = file.file_stem().unwrap_or_default().to_string_lossy();
                let case = format!("{}/{stem}", group.file_name().to_string_lossy());
                for name in covers(&std::fs::read_to_string(&file)?) {
                    coverage.entry(name).or_default().push(case.clone());
                }
            }
        }
    }
    Ok(coverage)
}

/// The names in the line `covers: [a, b]`; a case that covers nothing of Zato's has none.
fn covers(case: &str) -> Vec<String> {
    let line = case.lines().find_map(|line| line.strip_prefix("covers: ["));
    let names = line.and_then(|line| line.strip_suffix(']')).unwrap_or_default();
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

fn list<'a>(table: &'a Table, key: &str) -> anyhow::Result<&'a Vec<Value>> {
    let found = table.get(key).and_then(Value::as_array);
    found.with_context(|| format!("docs/zato-api.toml: no list '{key}' in {table:?}"))
}

fn text<'a>(table: &'a Table, key: &str) -> anyhow::Result<&'a str> {
    let found = table.get(key).and_then(Value::as_str);
    found.with_context(|| format!("docs/zato-api.toml: no text '{key}' in {table:?}"))
}
