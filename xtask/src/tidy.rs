//! Rules of the house that the compiler can't hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::run::{command, output, root, say};

/// Names of files and folders that say nothing about what is in them.
const EMPTY_NAMES: [&str; 6] = ["util", "utils", "helper", "helpers", "common", "misc"];

/// Checks every rule and lists what is wrong.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut problems = Vec::new();
    check_layers(&mut problems)?;
    check_purposes(&mut problems)?;
    check_map(&mut problems)?;
    let tracked = output(&mut command(
        "git",
        ["ls-files", "--cached", "--others", "--exclude-standard"],
    ))?;
    for path in tracked.lines() {
        check_file(path, &mut problems);
    }
    if !problems.is_empty() {
        bail!("not tidy:\n  {}", problems.join("\n  "));
    }
    say("tidy");
    Ok(())
}

/// Dependencies between crates are those of `layers.toml`, and some libraries have few owners.
fn check_layers(problems: &mut Vec<String>) -> anyhow::Result<()> {
    let rules: Rules = Rules::read(&root().join("xtask/layers.toml"))?;
    let metadata = output(&mut command(
        "cargo",
        ["metadata", "--format-version", "1", "--no-deps", "--offline"],
    ))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    let ours: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(allowed) = rules.layers.get(name) else {
            problems.push(format!("{name} is not in xtask/layers.toml"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let dependency_name = dependency["name"].as_str().unwrap_or_default();
            let is_for_tests = dependency["kind"] == "dev";
            if ours.contains(dependency_name) && !allowed.contains(dependency_name) && !is_for_tests {
                problems.push(format!("{name} must not know {dependency_name} (xtask/layers.toml)"));
            }
            let owners = rules.owners.get(dependency_name);
            if owners.is_some_and(|owners| !owners.contains(name)) && !is_for_tests {
                problems.push(format!("{name} must not use {dependency_name} (xtask/layers.toml)"));
            }
        }
    }
    Ok(())
}

struct Rules {
    layers: BTreeMap<String, BTreeSet<String>>,
    owners: BTreeMap<String, BTreeSet<String>>,
}

impl Rules {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let table: toml::Table = std::fs::read_to_string(path)?.parse()?;
        let section = |name: &str| {
            let entries = table.get(name).and_then(toml::Value::as_table).into_iter().flatten();
            entries.map(|(key, list)| (key.clone(), texts(list))).collect()
        };
        Ok(Self {
            layers: section("layers"),
            owners: section("owners"),
        })
    }
}

fn texts(list: &toml::Value) -> BTreeSet<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(toml::Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// Every dependency of the workspace says what it is for; a comment counts for the lines that follow it without a blank one.
fn check_purposes(problems: &mut Vec<String>) -> anyhow::Result<()> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml"))?;
    let section = manifest
        .split("[workspace.dependencies]")
        .nth(1)
        .context("no [workspace.dependencies]")?;
    let mut explained = false;
    for line in section.lines().take_while(|line| !line.starts_with('[')) {
        match line.trim() {
            "" => explained = false,
            comment if comment.starts_with('#') => explained = true,
            ours if ours.starts_with("tenon-") => {}
            entry if !explained => problems.push(format!("Cargo.toml: what is this for? {entry}")),
            _ => {}
        }
    }
    Ok(())
}

/// ARCHITECTURE.md names every crate, and every crate that it names exists.
fn check_map(problems: &mut Vec<String>) -> anyhow::Result<()> {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap_or_default();
    for entry in std::fs::read_dir(root().join("crates"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !map.contains(&format!("`{name}`")) {
            problems.push(format!("ARCHITECTURE.md does not name the crate `{name}`"));
        }
    }
    Ok(())
}

fn check_file(path: &str, problems: &mut Vec<String>) {
    // Names of an interface that services import are not ours to choose.
    let ours = if path.starts_with("sdk/python/zato/") { "" } else { path };
    for part in ours.split('/') {
        let stem = part.split('.').next().unwrap_or(part);
        if EMPTY_NAMES.contains(&stem) {
            problems.push(format!("{path}: '{stem}' says nothing; name it after what is in it"));
        }
    }
    if Path::new(path).extension().is_none_or(|extension| extension != "rs") {
        return;
    }
    let Ok(text) = std::fs::read_to_string(root().join(path)) else {
        return;
    };
    if !text.starts_with("//!") {
        problems.push(format!("{path}: a module begins with a sentence on what it is (//!)"));
    }
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("pub use ") && line.contains("::*") {
            problems.push(format!("{path}:{}: name what is re-exported", number + 1));
        }
    }
}
