//! Sets of files, and how they get onto the disk.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use tenon_store::DeploymentFile;

use super::DeployError;
use super::group::is_executable;
use super::settings::DeploymentSettings;

/// The folder with the last good versions of files that changed; workers know it by this name.
const PREVIOUS: &str = ".previous";

/// The folder for what the platform adds to a deployment.
pub(crate) const RESERVED: &str = ".requirements/";

/// The files of a deployment, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FileSet(BTreeMap<String, DeploymentFile>);

impl From<Vec<DeploymentFile>> for FileSet {
    fn from(files: Vec<DeploymentFile>) -> Self {
        Self(files.into_iter().map(|file| (file.path.clone(), file)).collect())
    }
}

impl FileSet {
    pub(crate) fn get(&self, path: &str) -> Option<&DeploymentFile> {
        self.0.get(path)
    }

    pub(crate) fn insert(&mut self, file: DeploymentFile) {
        self.0.insert(file.path.clone(), file);
    }

    /// The files whose paths begin so.
    pub(crate) fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a DeploymentFile> {
        self.0.values().filter(move |file| file.path.starts_with(prefix))
    }

    /// Takes away the files whose paths begin so.
    pub(crate) fn remove_below(&mut self, prefix: &str) {
        self.0.retain(|path, _| !path.starts_with(prefix));
    }

    /// Makes a file as it is in another set, where it may be missing too.
    pub(crate) fn restore(&mut self, path: &str, from: &FileSet) {
        match from.get(path) {
            Some(file) => self.insert(file.clone()),
            None => self.remove(path),
        }
    }

    pub(crate) fn remove(&mut self, path: &str) {
        self.0.remove(path);
    }

    pub(crate) fn to_vec(&self) -> Vec<DeploymentFile> {
        self.0.values().cloned().collect()
    }

    /// Paths whose content is another here than in `base`, or that are only here.
    pub(crate) fn changed_since(&self, base: &FileSet) -> Vec<String> {
        let same = |file: &DeploymentFile| base.get(&file.path).is_some_and(|other| other.sha256 == file.sha256);
        self.0
            .values()
            .filter(|file| !same(file))
            .map(|file| file.path.clone())
            .collect()
    }

    /// Paths of `base` that are not here.
    pub(crate) fn removed_since(&self, base: &FileSet) -> Vec<String> {
        base.0
            .keys()
            .filter(|path| !self.0.contains_key(*path))
            .cloned()
            .collect()
    }

    /// Names the content: two sets of the same fingerprint are the same.
    pub(crate) fn fingerprint(&self) -> String {
        let all: Vec<_> = self
            .0
            .values()
            .map(|file| format!("{} {}", file.sha256, file.path))
            .collect();
        DeploymentFile::hash(all.join("\n").as_bytes())
    }

    /// Checks paths and sizes.
    pub(crate) fn check(&self, settings: &DeploymentSettings) -> Result<(), DeployError> {
        if self.0.len() > settings.files_max {
            let (count, limit) = (self.0.len(), settings.files_max);
            return Err(DeployError::Invalid(format!("{count} files, more than {limit}")));
        }
        let mut total = 0;
        for file in self.0.values() {
            check_file(file, settings)?;
            total += file.content.len();
        }
        if total > settings.total_bytes_max {
            let limit = settings.total_bytes_max;
            return Err(DeployError::Invalid(format!(
                "the files have {total} bytes together, more than {limit}"
            )));
        }
        Ok(())
    }

    /// Writes the files below `root`, and beside them the last good versions of those that changed.
    pub(crate) fn write(&self, root: &Path, previous: &FileSet) -> Result<(), DeployError> {
        make_dir(root)?;
        // Packages are installed into an environment of their own.
        for file in self.0.values().filter(|file| !file.path.starts_with(RESERVED)) {
            let path = root.join(&file.path);
            write_file(&path, &file.content)?;
            if is_executable(&file.content) {
                let may_run = Permissions::from_mode(0o755);
                std::fs::set_permissions(&path, may_run).map_err(|source| io_error(&path, source))?;
            }
        }
        for path in self.changed_since(previous) {
            if let Some(file) = previous.get(&path) {
                write_file(&root.join(PREVIOUS).join(&path), &file.content)?;
            }
        }
        Ok(())
    }
}

/// Takes the last good versions away, once they are not needed any more.
pub(crate) fn forget_previous(root: &Path) {
    let _ = std::fs::remove_dir_all(root.join(PREVIOUS));
}

/// Whether a path is one of those that only the platform makes: the lock of the requirements, and their packages.
fn is_reserved(path: &str) -> bool {
    path.strip_prefix(RESERVED)
        .is_some_and(|rest| !rest.split('/').any(|part| part.is_empty() || part.starts_with('.')))
}

/// Checks a file's path and size.
pub(crate) fn check_file(file: &DeploymentFile, settings: &DeploymentSettings) -> Result<(), DeployError> {
    check_path(&file.path)?;
    let (size, limit) = (file.content.len(), settings.file_bytes_max);
    if size > limit {
        let why = format!("'{}' has {size} bytes, more than {limit}", file.path);
        return Err(DeployError::Invalid(why));
    }
    Ok(())
}

/// A path of a file must stay below the root, and must be one that the services folder could have.
pub(crate) fn check_path(path: &str) -> Result<(), DeployError> {
    let wrong = |reason: &str| {
        Err(DeployError::Invalid(format!(
            "'{}' is no path of a file: {reason}",
            path.escape_debug()
        )))
    };
    if path.is_empty() || path.len() > 500 {
        return wrong("it is empty or longer than 500 bytes");
    }
    if path.split('/').any(|part| part.len() > 255) {
        return wrong("a part of it is longer than the 255 bytes that a name may have");
    }
    if path.contains(['\\', '\0']) || path.chars().any(char::is_control) {
        return wrong("it contains a backslash or a control character");
    }
    if !Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
        || path.ends_with('/')
    {
        return wrong("it must be relative, without '..'");
    }
    if !is_reserved(path) && path.split('/').any(|part| part.is_empty() || is_ignored(part)) {
        return wrong("a part of it is empty, hidden or a cache");
    }
    Ok(())
}

/// Names that are never deployed: hidden ones, caches, and what editors leave behind.
pub(crate) fn is_ignored(name: &str) -> bool {
    name.starts_with('.')
        || name == "__pycache__"
        || name.ends_with('~')
        || name.starts_with('#')
        || [".pyc", ".swp", ".tmp"].iter().any(|end| name.ends_with(end))
}

pub(crate) fn make_dir(path: &Path) -> Result<(), DeployError> {
    std::fs::create_dir_all(path).map_err(|source| io_error(path, source))
}

pub(crate) fn write_file(path: &Path, content: &[u8]) -> Result<(), DeployError> {
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    std::fs::write(path, content).map_err(|source| io_error(path, source))
}

fn io_error(path: &Path, source: std::io::Error) -> DeployError {
    DeployError::Io {
        path: PathBuf::from(path),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_would_leave_the_root_are_refused() {
        for good in [
            "a.py",
            "api/user.py",
            "data/größe.json",
            "requirements.txt",
            ".requirements/wheels/a-1-py3-none-any.whl",
        ] {
            assert!(check_path(good).is_ok(), "{good}");
        }
        for wrong in [
            "",
            "/etc/passwd",
            "../a.py",
            "a/../b.py",
            "a//b.py",
            ".env",
            "a/.git/x",
            "a\\b",
            "dir/",
            ".requirements/../x",
            ".requirements/.x",
            "a.pyc",
            "x~",
        ] {
            assert!(check_path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sets_know_how_they_differ() {
        let file = |path: &str, content: &'static str| DeploymentFile::new(path, content);
        let base = FileSet::from(vec![file("a", "1"), file("b", "1")]);
        let next = FileSet::from(vec![file("a", "2"), file("c", "1")]);
        assert_eq!(next.changed_since(&base), ["a", "c"]);
        assert_eq!(next.removed_since(&base), ["b"]);
        assert_ne!(next.fingerprint(), base.fingerprint());
    }
}
