//! `tenon validate`, `plan`, `apply` and `export`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use tenon_manifest::{ManifestFile, ManifestProblem, Settings};
use tenon_model::Problem;
use tenon_protocol::control::{
    Action, ApplyManifests, ApplyRequest, ExportManifests, NoParams, Nothing, ObjectChange, Plan, PlanManifests,
};

use super::Global;
use super::control::{Cluster, WAIT_MS, problem_failure};
use crate::catalog::catalog;
use crate::environment::Environment;
use crate::failure::{Exit, Failure, fail};

/// Which manifests a command is about.
#[derive(Debug, Args)]
pub(super) struct Files {
    /// A manifest, or a directory of them; without it, manifests/ of the environment
    #[arg(short, long = "file", value_name = "FILE|DIR")]
    file: Vec<PathBuf>,
}

/// Checks manifests without a cluster.
#[derive(Debug, Args)]
pub(super) struct Validate {
    #[command(flatten)]
    files: Files,
}

/// Shows what applying manifests would change.
#[derive(Debug, Args)]
pub(super) struct PlanCommand {
    #[command(flatten)]
    files: Files,
    /// Also delete objects that these manifests no longer hold; with single files: all that are not in them
    #[arg(long)]
    prune: bool,
}

/// Applies manifests: all of it or nothing.
#[derive(Debug, Args)]
pub(super) struct Apply {
    #[command(flatten)]
    files: Files,
    /// Also delete objects that these manifests no longer hold; with single files: all that are not in them
    #[arg(long)]
    prune: bool,
}

/// Prints every object as a manifest.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// Write to this file
    #[arg(short, long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Files {
    /// Reads the manifests. Those of the environment's folder own their objects, others own nothing.
    fn read(&self, environment: Option<&Environment>) -> anyhow::Result<Vec<ManifestFile>> {
        let own = environment.map(|environment| environment.layout().manifests());
        let paths = if self.file.is_empty() {
            vec![own.clone().context("no environment")?]
        } else {
            self.file.clone()
        };
        let settings = Settings::default();
        let mut files = Vec::new();
        for path in paths {
            if !path.exists() {
                fail!(NoSuchPath, format!("{} does not exist", path.display()), "");
            }
            let is_own = own.as_ref().is_some_and(|own| same(own, &path));
            if path.is_dir() {
                let folder = tenon_manifest::read_dir(&path, &settings)
                    .with_context(|| format!("can't read {}", path.display()))?;
                files.extend(folder.into_iter().map(|mut file| {
                    file.owner = file.owner.filter(|_| is_own);
                    file
                }));
            } else {
                let owner = own.as_ref().and_then(|own| below(own, &path));
                let file = tenon_manifest::read_file(&path, &settings);
                files.push(match owner {
                    Some(owner) => file.owned_by(owner),
                    None => file,
                });
            }
        }
        Ok(files)
    }
}

fn same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// The path of a file below a folder, if it lies there.
fn below(folder: &Path, file: &Path) -> Option<String> {
    let (folder, file) = (folder.canonicalize().ok()?, file.canonicalize().ok()?);
    Some(file.strip_prefix(folder).ok()?.to_string_lossy().into_owned())
}

impl Validate {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let environment = match global.target(None) {
            Ok(target) => Some(target.environment),
            // Files that are named need no environment.
            Err(_) if !self.files.file.is_empty() => None,
            Err(error) => return Err(error),
        };
        let files = self.files.read(environment.as_ref())?;
        let problems = tenon_manifest::validate(&files, &catalog());
        let objects: usize = files.iter().map(|file| file.objects.len()).sum();
        let output = global.output();
        if output.is_json() {
            let problems: Vec<_> = problems.iter().map(problem_json).collect();
            output.json(&json!({ "files": files.len(), "objects": objects, "problems": problems }))?;
        }
        refuse(&problems)?;
        if output.is_json() {
            return Ok(());
        }
        output.text(&format!("{objects} objects in {} files are right", files.len()))
    }
}

fn problem_json(problem: &ManifestProblem) -> serde_json::Value {
    json!({
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "field": problem.field,
        "message": problem.message,
    })
}

/// Fails with all problems, a line each.
fn refuse(problems: &[ManifestProblem]) -> anyhow::Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = problems.iter().map(|problem| format!("  {problem}")).collect();
    let what = match problems.len() {
        1 => "one thing is wrong".to_owned(),
        count => format!("{count} things are wrong"),
    };
    Err(Failure::new(Exit::Invalid, format!("{what}:\n{}", lines.join("\n")), "").into())
}

/// Reads manifests, checks what can be checked here, and makes the request of them.
fn request(global: &Global, files: &Files, prune: bool) -> anyhow::Result<(Cluster, Vec<ManifestFile>, ApplyRequest)> {
    let cluster = Cluster::of(global)?;
    let files = files.read(Some(cluster.environment()))?;
    refuse(&tenon_manifest::validate(&files, &catalog()))?;
    let request = ApplyRequest {
        objects: files.iter().flat_map(ManifestFile::manifest_objects).collect(),
        prune,
        prune_manifests: files.iter().filter_map(|file| file.owner.clone()).collect(),
        wait_ms: Some(WAIT_MS),
    };
    Ok((cluster, files, request))
}

/// What the cluster finds wrong, with the places in the files.
fn refusal(files: &[ManifestFile], problem: &Problem) -> anyhow::Error {
    if problem.errors.is_empty() {
        return problem_failure(problem).into();
    }
    let problems: Vec<ManifestProblem> = problem
        .errors
        .iter()
        .map(|error| tenon_manifest::locate(files, error))
        .collect();
    refuse(&problems)
        .err()
        .unwrap_or_else(|| problem_failure(problem).into())
}

impl PlanCommand {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let (cluster, files, request) = request(global, &self.files, self.prune)?;
        let plan = cluster
            .try_call::<PlanManifests>(&NoParams {}, &request)?
            .map_err(|problem| refusal(&files, &problem))?;
        let output = global.output();
        if output.is_json() {
            return output.json(&plan);
        }
        output.text(&describe(
            &plan,
            ["would be created", "would be changed", "would be deleted"],
        ))
    }
}

impl Apply {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let (cluster, files, request) = request(global, &self.files, self.prune)?;
        let reply = cluster
            .try_call::<ApplyManifests>(&NoParams {}, &request)?
            .map_err(|problem| refusal(&files, &problem))?;
        let output = global.output();
        if output.is_json() {
            return output.json(&reply);
        }
        let mut text = describe(&reply.plan, ["created", "changed", "deleted"]);
        if !reply.acknowledged && !reply.plan.changes.is_empty() {
            let seconds = Duration::from_millis(WAIT_MS).as_secs();
            write!(
                text,
                "\nIt is kept, but after {seconds} s not every server serves it yet"
            )?;
        }
        output.text(&text)
    }
}

/// The plan for people: a line for each object, its fields below it, and a sum.
fn describe(plan: &Plan, words: [&str; 3]) -> String {
    let mut lines = Vec::new();
    let mut counts = [0_u64; 3];
    for change in &plan.changes {
        let (sign, index) = match change.action {
            Action::Create => ("+", 0),
            Action::Change => ("~", 1),
            Action::Delete => ("-", 2),
            Action::Keep => continue,
        };
        counts[index] += 1;
        lines.push(format!("{sign} {}", change.key));
        lines.extend(fields(change));
    }
    for warning in &plan.warnings {
        lines.push(format!("warning: {warning}"));
    }
    let mut sum: Vec<String> = counts
        .iter()
        .zip(words)
        .filter(|(count, _)| **count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    sum.push(format!("{} unchanged", plan.unchanged));
    lines.push(sum.join(", "));
    lines.join("\n")
}

fn fields(change: &ObjectChange) -> impl Iterator<Item = String> {
    let value =
        |value: &Option<serde_json::Value>| value.as_ref().map_or_else(|| "(none)".to_owned(), ToString::to_string);
    change
        .fields
        .iter()
        .map(move |field| format!("    {}: {} → {}", field.field, value(&field.old), value(&field.new)))
}

impl Export {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let cluster = Cluster::of(global)?;
        let exported = cluster.call::<ExportManifests>(&NoParams {}, &Nothing {})?;
        let output = global.output();
        let text = if output.is_json() {
            serde_json::to_string_pretty(&exported)?
        } else {
            tenon_manifest::to_yaml(&catalog(), &exported.objects)
        };
        let Some(file) = &self.file else {
            return output.text(&text);
        };
        std::fs::write(file, text).with_context(|| format!("can't write {}", file.display()))?;
        output.note(&format!(
            "{} objects were written to {}",
            exported.objects.len(),
            file.display()
        ));
        Ok(())
    }
}
