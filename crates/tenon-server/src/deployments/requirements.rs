//! `requirements.txt`: resolved once into packages and their hashes, which are kept with the deployment.

use std::path::Path;
use std::process::Stdio;

use tenon_protocol::control::RefusedFile;
use tenon_store::DeploymentFile;
use tokio::time::{Duration, timeout};

use super::files::{FileSet, RESERVED};
use super::settings::DeploymentSettings;
use crate::workers::Interpreter;

/// What a group needs, as pip reads it.
pub(crate) const REQUIREMENTS: &str = "requirements.txt";

/// What that came to: names, versions and hashes.
const LOCK: &str = ".requirements/lock.txt";

/// The packages themselves.
const WHEELS: &str = ".requirements/wheels/";

/// How much of what pip said is kept.
const OUTPUT_BYTES_MAX: usize = 16 << 10;

/// A program that failed, or took too long: what it said, and the line of it that says why.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) line: String,
    pub(crate) output: String,
}

/// The lock of a set; none if it requires nothing.
pub(crate) fn lock_of(files: &FileSet) -> Option<&DeploymentFile> {
    files.get(LOCK)
}

/// The packages that are kept with a set, by file name.
pub(crate) fn wheels_of(files: &FileSet) -> impl Iterator<Item = (&str, &DeploymentFile)> {
    files.below(WHEELS).map(|file| (&file.path[WHEELS.len()..], file))
}

/// Whether the packages have to be looked for: there are requirements, and no lock that is made of them by this interpreter.
pub(crate) fn must_resolve(files: &FileSet, interpreter: &Interpreter) -> bool {
    let Some(required) = files.get(REQUIREMENTS) else {
        return false;
    };
    let head = head(required, interpreter);
    lock_of(files).is_none_or(|lock| !lock.content.starts_with(head.as_bytes()))
}

/// Takes away a lock that nothing requires any more.
pub(crate) fn forget_unneeded(files: &mut FileSet) {
    if files.get(REQUIREMENTS).is_none() {
        files.remove_below(RESERVED);
    }
}

/// Finds the packages, with pip in the directory that holds the files, and adds them to the set with their lock.
pub(crate) async fn resolve(
    files: &mut FileSet,
    interpreter: &Interpreter,
    directory: &Path,
    settings: &DeploymentSettings,
) -> Result<(), Failure> {
    let Some(required) = files.get(REQUIREMENTS).cloned() else {
        return Ok(());
    };
    files.remove_below(RESERVED);
    let wheels = directory.join(".wheels");
    let mut command = tokio::process::Command::new(&interpreter.path);
    command
        .args(["-m", "pip", "wheel", "--disable-pip-version-check", "--no-input"])
        .arg("--wheel-dir")
        .arg(&wheels)
        .args(["--requirement", REQUIREMENTS])
        .current_dir(directory);
    run(command, settings.requirements_timeout.0).await?;
    let mut found = read_wheels(&wheels).map_err(|error| Failure {
        line: format!("the packages can't be read: {error}"),
        output: String::new(),
    })?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    let mut lock = head(&required, interpreter);
    for wheel in &found {
        lock.push_str(&lock_line(&wheel.path[WHEELS.len()..], &wheel.sha256));
    }
    let total: usize = found.iter().map(|wheel| wheel.content.len()).sum();
    if total <= settings.requirements_bytes_max {
        for wheel in found {
            files.insert(wheel);
        }
    } else {
        tracing::warn!("the packages have {total} bytes together: only their hashes are kept with the deployment");
    }
    files.insert(DeploymentFile::new(LOCK, lock));
    Ok(())
}

/// The refusal of a `requirements.txt` that can't be had.
pub(crate) fn refused(failure: Failure, kept_previous: bool) -> RefusedFile {
    RefusedFile {
        path: REQUIREMENTS.to_owned(),
        error: failure.line,
        traceback: failure.output,
        kept_previous,
    }
}

/// What a lock begins with, which says of what it is the lock.
fn head(required: &DeploymentFile, interpreter: &Interpreter) -> String {
    let (sha256, tag) = (&required.sha256, &interpreter.tag);
    format!("# The packages of {REQUIREMENTS} ({sha256})\n# for {tag}\n")
}

/// `name==version --hash=…` of a wheel's file name.
fn lock_line(file: &str, sha256: &str) -> String {
    let mut parts = file.split('-');
    let (name, version) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    format!("{name}=={version} --hash=sha256:{sha256}\n")
}

fn read_wheels(directory: &Path) -> std::io::Result<Vec<DeploymentFile>> {
    if !directory.is_dir() {
        // Nothing but comments was required.
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if Path::new(&name).extension().is_some_and(|extension| extension == "whl") {
            found.push(DeploymentFile::new(
                format!("{WHEELS}{name}"),
                std::fs::read(entry.path())?,
            ));
        }
    }
    Ok(found)
}

/// Runs a program to its end, and keeps what it says if it fails.
pub(crate) async fn run(mut command: tokio::process::Command, patience: Duration) -> Result<(), Failure> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let failed = |line: String| Failure {
        line,
        output: String::new(),
    };
    let output = match timeout(patience, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(failed(format!("pip can't be run: {error}"))),
        Err(_) => return Err(failed(format!("pip did not end within {patience:?}"))),
    };
    if output.status.success() {
        return Ok(());
    }
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("ERROR: "))
        .or_else(|| said.lines().rfind(|line| !line.trim().is_empty()))
        .unwrap_or("pip failed and said nothing")
        .to_owned();
    let from = said.len().saturating_sub(OUTPUT_BYTES_MAX);
    let from = (from..said.len()).find(|at| said.is_char_boundary(*at)).unwrap_or(0);
    Err(Failure {
        line,
        output: said[from..].trim_end().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_that_of_its_requirements_and_interpreter() {
        let interpreter = |tag: &str| Interpreter {
            path: "python3".to_owned(),
            tag: tag.to_owned(),
        };
        let old = interpreter("cpython-39");
        let mut files = FileSet::default();
        assert!(!must_resolve(&files, &old));
        files.insert(DeploymentFile::new(REQUIREMENTS, "a\n"));
        assert!(must_resolve(&files, &old));
        let lock = head(files.get(REQUIREMENTS).unwrap(), &old) + &lock_line("a_b-1.0-py3-none-any.whl", "00");
        assert!(lock.ends_with("a_b==1.0 --hash=sha256:00\n"), "{lock}");
        files.insert(DeploymentFile::new(LOCK, lock));
        assert!(!must_resolve(&files, &old));
        assert!(must_resolve(&files, &interpreter("cpython-313")));
        files.insert(DeploymentFile::new(REQUIREMENTS, "a==2\n"));
        assert!(must_resolve(&files, &old));
        files.remove(REQUIREMENTS);
        forget_unneeded(&mut files);
        assert!(lock_of(&files).is_none());
    }

    #[tokio::test]
    async fn a_program_that_fails_says_why() {
        let mut command = tokio::process::Command::new("sh");
        command.args([
            "-c",
            "echo looking; echo 'ERROR: no such package' >&2; echo more >&2; exit 1",
        ]);
        let failure = run(command, Duration::from_secs(20)).await.unwrap_err();
        assert_eq!(failure.line, "no such package");
        assert_eq!(failure.output, "looking\nERROR: no such package\nmore");
    }
}
