//! The file that a process runs: which one is started next, and whether a running process is still of it.
//!
//! A binary is upgraded by replacing its file. Processes that run go on with the old one until they are restarted.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// What this process itself runs, whether its file is still there or not.
pub(super) const OWN_IMAGE: &str = "/proc/self/exe";

/// What Linux adds to the path of a running binary whose file was replaced or removed.
const REPLACED: &[u8] = b" (deleted)";

/// The binary of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Binary {
    /// The path that it was started from.
    pub(crate) path: String,
    /// The number of its file, which another file at the same path does not have.
    pub(crate) inode: u64,
    /// Whether a restart would start the same file again.
    pub(crate) is_current: bool,
}

/// The path that this process was started from; a newer binary that lies there now is taken for what is started next.
pub(crate) fn own_program() -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe().context("the path of the running binary is not known")?;
    Ok(without_mark(&path))
}

/// The binary of a process, compared with the file that would be started in its place; none if the process is gone.
pub(crate) fn of_process(pid: u32, next: &Path) -> Option<Binary> {
    let link = PathBuf::from(format!("/proc/{pid}/exe"));
    let running = std::fs::metadata(&link).ok()?;
    let path = without_mark(&std::fs::read_link(&link).ok()?);
    let same = |next: std::fs::Metadata| (next.dev(), next.ino()) == (running.dev(), running.ino());
    Some(Binary {
        path: path.display().to_string(),
        inode: running.ino(),
        is_current: std::fs::metadata(next).is_ok_and(same),
    })
}

fn without_mark(path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    let bytes = bytes.strip_suffix(REPLACED).unwrap_or(bytes);
    PathBuf::from(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_runs_the_file_that_it_was_started_from() {
        let own = own_program().unwrap();
        let binary = of_process(std::process::id(), &own).unwrap();
        assert!(binary.is_current && Path::new(&binary.path) == own, "{binary:?}");
        let other = of_process(std::process::id(), Path::new("/bin/sh")).unwrap();
        assert!(!other.is_current && other.inode == binary.inode, "{other:?}");
        assert_eq!(without_mark(Path::new("/opt/tenon (deleted)")), Path::new("/opt/tenon"));
        assert!(of_process(u32::MAX, &own).is_none());
    }
}
