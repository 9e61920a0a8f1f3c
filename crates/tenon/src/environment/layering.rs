//! Settings in layers: the file, then environment variables, then flags.
//!
//! A variable's name is `TENON__` and the file's name and the setting's path, in upper case, joined by two underscores
//! (`TENON__SERVER1__ADDRESSES__DATA`, `TENON__ENVIRONMENT__LOG__LEVEL`; `-` becomes `_`). A flag is `addresses.data=…`.

use std::path::Path;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::failure::{Exit, Failure};

/// One setting that overrides the file: its path, its value, and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Override {
    path: Vec<String>,
    value: String,
    source: String,
}

/// The overrides for the settings file called `name` among these environment variables.
pub(super) fn from_variables(name: &str, variables: impl Iterator<Item = (String, String)>) -> Vec<Override> {
    let prefix = format!("TENON__{}__", name.to_ascii_uppercase().replace('-', "_"));
    let mut overrides: Vec<Override> = variables
        .filter_map(|(variable, value)| {
            let path = variable.strip_prefix(&prefix)?;
            let path = path.split("__").map(str::to_ascii_lowercase).collect();
            Some(Override {
                path,
                value,
                source: format!("the environment variable {variable}"),
            })
        })
        .collect();
    overrides.sort_by(|a, b| a.path.cmp(&b.path));
    overrides
}

/// The override that a flag such as `addresses.data=127.0.0.1:17010` means.
pub(super) fn from_flag(flag: &str) -> Result<Override, Failure> {
    let Some((path, value)) = flag.split_once('=') else {
        return Err(Failure::new(
            Exit::InvalidInput,
            format!("--set {flag} has no '='"),
            "write it as --set addresses.data=127.0.0.1:17010",
        ));
    };
    Ok(Override {
        path: path.split('.').map(str::to_owned).collect(),
        value: value.to_owned(),
        source: format!("--set {flag}"),
    })
}

/// Reads a settings file and lays the overrides over it.
pub(super) fn read<T: DeserializeOwned>(file: &Path, overrides: &[Override]) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(Exit::Settings, format!("{} can't be read: {error}", file.display()), ""))?;
    // First by itself: only so does an error name its line.
    let settings: T = toml::from_str(&text).map_err(|error| wrong(file, &error))?;
    if overrides.is_empty() {
        return Ok(settings);
    }
    let mut table: Table = toml::from_str(&text).map_err(|error| wrong(file, &error))?;
    for one in overrides {
        apply(&mut table, one)?;
    }
    let sources: Vec<&str> = overrides.iter().map(|one| one.source.as_str()).collect();
    table.try_into().map_err(|error: toml::de::Error| {
        Failure::new(
            Exit::Settings,
            format!("the settings of {} are wrong: {}", file.display(), error.message()),
            format!("look at {}", sources.join(", ")),
        )
        .into()
    })
}

fn wrong(file: &Path, error: &toml::de::Error) -> Failure {
    let text = error.to_string();
    Failure::new(
        Exit::Settings,
        format!("{} is wrong: {}", file.display(), text.trim_end()),
        "",
    )
}

fn apply(table: &mut Table, one: &Override) -> Result<(), Failure> {
    let Some((last, parents)) = one.path.split_last() else {
        return Ok(());
    };
    let mut place = table;
    for parent in parents {
        let entry = place
            .entry(parent.clone())
            .or_insert_with(|| Value::Table(Table::new()));
        place = entry.as_table_mut().ok_or_else(|| {
            Failure::new(
                Exit::Settings,
                format!("{} names '{}', which has no settings below it", one.source, parent),
                "",
            )
        })?;
    }
    place.insert(last.clone(), value_of(&one.value));
    Ok(())
}

/// The text as TOML writes values, such as `10`, `true` or `["a"]`; anything else is a text.
fn value_of(text: &str) -> Value {
    match format!("value = {text}").parse::<Table>() {
        Ok(mut table) if table.len() == 1 => table.remove("value").unwrap_or_else(|| Value::String(text.to_owned())),
        _ => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        name: String,
        #[serde(default)]
        limits: Limits,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Limits {
        threads: u32,
    }

    #[test]
    fn flags_win_over_variables_and_those_over_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("component.toml");
        std::fs::write(&file, "name = \"a\"\n[limits]\nthreads = 1\n").unwrap();
        let variables = [
            ("TENON__LOAD_BALANCER__LIMITS__THREADS".to_owned(), "2".to_owned()),
            ("TENON__LOAD_BALANCER__NAME".to_owned(), "b".to_owned()),
            ("TENON__SERVER1__NAME".to_owned(), "other".to_owned()),
        ];
        let mut overrides = from_variables("load-balancer", variables.into_iter());
        overrides.push(from_flag("limits.threads=3").unwrap());
        let sample: Sample = read(&file, &overrides).unwrap();
        assert_eq!(
            sample,
            Sample {
                name: "b".to_owned(),
                limits: Limits { threads: 3 }
            }
        );
    }

    #[test]
    fn a_wrong_setting_names_its_line_or_its_variable() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("component.toml");
        std::fs::write(&file, "name = \"a\"\nnmae = 1\n").unwrap();
        let error = read::<Sample>(&file, &[]).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("nmae"), "{error}");
        std::fs::write(&file, "name = \"a\"\n").unwrap();
        let flag = from_flag("limits.threads=many").unwrap();
        let error = read::<Sample>(&file, &[flag]).unwrap_err().to_string();
        assert!(error.contains("limits.threads=many"), "{error}");
    }
}
