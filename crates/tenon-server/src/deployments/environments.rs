//! Virtual environments of groups that require packages: built once for each lock and interpreter, shared by the deployments
//! that have the same, and removed when none has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use tenon_store::DeploymentFile;
use tokio::process::Command;
use tokio::sync::Mutex;

use super::DeployError;
use super::files::{FileSet, make_dir, write_file};
use super::requirements::{Failure, lock_of, run, wheels_of};
use super::settings::DeploymentSettings;
use crate::workers::Interpreter;

/// Is in an environment that is whole.
const READY: &str = ".ready";

/// A virtual environment on this server, there as long as anybody holds it.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) python: PathBuf,
}

/// The virtual environments of this server.
#[derive(Debug)]
pub(crate) struct Environments {
    dir: PathBuf,
    timeout: std::time::Duration,
    /// By directory; a lock of its own for each, so that building one does not hold up others.
    known: Mutex<BTreeMap<String, Arc<Mutex<Weak<Environment>>>>>,
}

impl Environments {
    pub(crate) fn new(dir: PathBuf, settings: &DeploymentSettings) -> Self {
        Self {
            dir,
            timeout: settings.requirements_timeout.0,
            known: Mutex::default(),
        }
    }

    /// The environment of a set of files, built if it is not there; none if the set requires nothing.
    pub(crate) async fn of(
        &self,
        files: &FileSet,
        interpreter: &Interpreter,
    ) -> Result<Option<Arc<Environment>>, DeployError> {
        let Some(lock) = lock_of(files) else {
            return Ok(None);
        };
        let facts = format!("{}\n{}\n{}", lock.sha256, interpreter.path, interpreter.tag);
        let name = DeploymentFile::hash(facts.as_bytes())[..16].to_owned();
        let slot = self.known.lock().await.entry(name.clone()).or_default().clone();
        let mut slot = slot.lock().await;
        if let Some(environment) = slot.upgrade() {
            return Ok(Some(environment));
        }
        let root = self.dir.join(name);
        if !root.join(READY).is_file() {
            let built = self.build(&root, files, lock, interpreter).await;
            if let Err(failure) = built? {
                let _ = std::fs::remove_dir_all(&root);
                let Failure { line, output } = failure;
                return Err(DeployError::Failed(format!(
                    "the requirements can't be installed: {line}\n{output}"
                )));
            }
            write_file(&root.join(READY), b"")?;
        }
        let environment = Arc::new(Environment {
            python: root.join("bin/python"),
        });
        *slot = Arc::downgrade(&environment);
        Ok(Some(environment))
    }

    async fn build(
        &self,
        root: &Path,
        files: &FileSet,
        lock: &DeploymentFile,
        interpreter: &Interpreter,
    ) -> Result<Result<(), Failure>, DeployError> {
        let _ = std::fs::remove_dir_all(root);
        let packages = root.join(".packages");
        make_dir(&packages)?;
        let lock_path = packages.join("lock.txt");
        write_file(&lock_path, &lock.content)?;
        let mut is_kept = false;
        for (name, wheel) in wheels_of(files) {
            write_file(&packages.join(name), &wheel.content)?;
            is_kept = true;
        }
        let mut create = Command::new(&interpreter.path);
        create.args(["-m", "venv", "--without-pip"]).arg(root);
        if let Err(failure) = run(create, self.timeout).await {
            return Ok(Err(failure));
        }
        // The interpreter's own pip installs into the environment, which needs none of its own.
        let mut install = Command::new(&interpreter.path);
        install
            .args(["-m", "pip", "--python"])
            .arg(root.join("bin/python"))
            .args([
                "install",
                "--disable-pip-version-check",
                "--no-input",
                "--no-deps",
                "--require-hashes",
            ])
            .arg("--requirement")
            .arg(&lock_path);
        if is_kept {
            install.arg("--no-index").arg("--find-links").arg(&packages);
        }
        let installed = run(install, self.timeout).await;
        let _ = std::fs::remove_dir_all(&packages);
        Ok(installed)
    }

    /// Removes the environments that nobody holds.
    pub(crate) async fn sweep(&self) {
        let mut known = self.known.lock().await;
        // One that is being looked for or built has a second holder.
        known.retain(|_, slot| {
            Arc::strong_count(slot) > 1 || slot.try_lock().is_ok_and(|environment| environment.strong_count() > 0)
        });
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !known.contains_key(&name) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}
