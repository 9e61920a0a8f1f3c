//! A small disk of its own, which can be filled without harm to anybody else.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// Enough for a cluster's packages, stores and logs of some minutes.
const SIZE: &str = "size=128m";

/// A file system in memory; it is taken away when this is dropped.
#[derive(Debug)]
pub(super) struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts it, which only root may.
    pub(super) fn mount() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("tenon-chaos-disk-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", SIZE, "tenon-chaos"])
            .arg(&folder)
            .output()
            .context("cannot run mount")?;
        if !mounted.status.success() {
            let said = String::from_utf8_lossy(&mounted.stderr);
            bail!("a small disk can't be mounted, which only root may: {}", said.trim());
        }
        Ok(Self { folder })
    }

    pub(super) fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.folder).status();
        if unmounted.is_ok_and(|status| status.success()) {
            let _ = std::fs::remove_dir(&self.folder);
        }
    }
}
