//! What Python services import, written where workers find it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::DeployError;
use super::files::{check_path, make_dir, write_file};
use tenon_store::DeploymentFile;

/// The program among the files that every worker runs.
const ENTRY: &str = "tenon_worker.py";

/// The files of the Python SDK, which the binary carries.
#[derive(Debug, Clone, Default)]
pub struct SdkFiles(Vec<(String, Cow<'static, [u8]>)>);

impl SdkFiles {
    /// Paths below the SDK's directory, and contents.
    pub fn new(files: Vec<(String, Cow<'static, [u8]>)>) -> Self {
        Self(files)
    }

    /// The files of a directory, for tests and for those who work on the SDK.
    pub fn from_dir(dir: &Path) -> Result<Self, DeployError> {
        let mut files = Vec::new();
        collect(dir, "", &mut files)?;
        files.sort();
        Ok(Self(files))
    }

    /// Writes the files into a directory named after their content, unless that is there, and says where the program is.
    pub(crate) fn write_below(&self, dir: &Path) -> Result<PathBuf, DeployError> {
        let mut all = Vec::new();
        for (path, content) in &self.0 {
            check_path(path)?;
            all.extend_from_slice(path.as_bytes());
            all.push(0);
            all.extend_from_slice(DeploymentFile::hash(content).as_bytes());
        }
        let target = dir.join(&DeploymentFile::hash(&all)[..16]);
        if target.join(ENTRY).is_file() {
            return Ok(target.join(ENTRY));
        }
        // The program is written last: where it is, the rest is too.
        make_dir(&target)?;
        for (path, content) in self.0.iter().filter(|(path, _)| path != ENTRY) {
            write_file(&target.join(path), content)?;
        }
        for (path, content) in self.0.iter().filter(|(path, _)| path == ENTRY) {
            write_file(&target.join(path), content)?;
        }
        Ok(target.join(ENTRY))
    }
}

fn collect(dir: &Path, prefix: &str, files: &mut Vec<(String, Cow<'static, [u8]>)>) -> Result<(), DeployError> {
    let failed = |source| DeployError::Io {
        path: dir.to_owned(),
        source,
    };
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if name.starts_with('.') || name == "__pycache__" || name == "tests" {
            continue;
        }
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else if entry.path().extension().is_some_and(|extension| extension == "py") || name == "py.typed" {
            files.push((path, Cow::Owned(std::fs::read(entry.path()).map_err(failed)?)));
        }
    }
    Ok(())
}
