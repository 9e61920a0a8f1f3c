//! What a command makes in an environment, taken away again if it fails half-way.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use anyhow::Context as _;

use super::layout::Layout;
use super::secrets;

/// What was made so far; taken away again unless it is kept.
pub(super) struct Made {
    root: PathBuf,
    paths: Vec<PathBuf>,
    kept: bool,
}

impl Made {
    /// Nothing yet, but for the environment's directory if it is missing.
    pub(super) fn new(layout: &Layout) -> anyhow::Result<Self> {
        let mut made = Self {
            root: layout.root().to_owned(),
            paths: Vec::new(),
            kept: false,
        };
        if !layout.root().exists() {
            made.directory("")?;
        }
        Ok(made)
    }

    /// Makes a directory below the environment's, for its owner only.
    pub(super) fn directory(&mut self, name: &str) -> anyhow::Result<()> {
        let path = self.root.join(name);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("can't create {}", path.display()))?;
        self.paths.push(path);
        Ok(())
    }

    /// Notes what something else is about to make.
    pub(super) fn note(&mut self, path: PathBuf) {
        if !path.exists() {
            self.paths.push(path);
        }
    }

    /// Makes the directory for sockets if the environment's own path is too long for them.
    pub(super) fn sockets(&mut self, layout: &Layout) -> anyhow::Result<()> {
        let missing = layout.short_directory().filter(|directory| !directory.exists());
        layout.prepare_sockets()?;
        self.paths.extend(missing);
        Ok(())
    }

    /// Writes a file below the environment's directory, for its owner only: users of workers may enter that.
    pub(super) fn file(&mut self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.root.join(name);
        self.paths.push(path.clone());
        secrets::write_private(&path, text)
    }

    /// All of it stays.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        for path in self.paths.iter().rev() {
            // What can't be removed now could not be made either; the error that led here is the one to report.
            let _ = if path.is_dir() {
                std::fs::remove_dir_all(path)
            } else {
                std::fs::remove_file(path)
            };
        }
    }
}
