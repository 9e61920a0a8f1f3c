//! Locks that say who runs. The kernel drops a lock with the process that holds it, so a stale file is no obstacle; pid
//! files beside them are information only.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};

/// A lock that this process holds, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Takes the lock of this path if nobody holds it.
pub(crate) fn try_lock(path: &Path) -> anyhow::Result<Option<Lock>> {
    let open = || {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        File::options().create(true).truncate(false).write(true).open(path)
    };
    let file = open().with_context(|| format!("can't open {}", path.display()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Lock { _file: file })),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("can't lock {}", path.display())),
    }
}

/// Takes the lock of this path, trying for so long: who looks whether it is held holds it for a moment too.
pub(crate) fn lock_within(path: &Path, timeout: Duration) -> anyhow::Result<Option<Lock>> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(lock) = try_lock(path)? {
            return Ok(Some(lock));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether somebody holds the lock of this path.
pub(crate) fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    // A shared lock, so that two who look at once do not see each other.
    matches!(
        flock(&file, FlockOperation::NonBlockingLockShared),
        Err(rustix::io::Errno::WOULDBLOCK)
    )
}

/// The process id in this file, if it holds one.
pub(crate) fn read_pid(path: &Path) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Writes this process's id.
pub(crate) fn write_pid(path: &Path) -> anyhow::Result<()> {
    std::fs::write(path, format!("{}\n", std::process::id())).with_context(|| format!("can't write {}", path.display()))
}

/// Removes a file that may be gone already.
pub(crate) fn remove_if_there(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_a_lock_and_others_see_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/lock");
        assert!(!is_locked(&path));
        let lock = try_lock(&path).unwrap();
        assert!(lock.is_some() && is_locked(&path));
        assert!(try_lock(&path).unwrap().is_none());
        drop(lock);
        assert!(!is_locked(&path));
    }
}
