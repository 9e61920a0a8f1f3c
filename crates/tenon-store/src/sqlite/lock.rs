//! The lock that lets one process at a time have the files open.

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use crate::error::StoreError;

/// How often a lock that somebody else holds is tried again.
const RETRY_EVERY: Duration = Duration::from_millis(20);

/// Held as long as this lives; the operating system gives it back when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Takes the lock of this directory, waiting at most so long for whoever holds it.
    pub(super) fn acquire(dir: &Path, wait: Duration) -> Result<Self, StoreError> {
        let path = dir.join("store.lock");
        let cant = |what: &str, error: &dyn std::fmt::Display| {
            StoreError::Storage(format!("can't {what} {}: {error}", path.display()))
        };
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| cant("open", &error))?;
        let deadline = Instant::now() + wait;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => thread::sleep(RETRY_EVERY),
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(StoreError::Locked(format!(
                        "another process has the store in {} open; only one may",
                        dir.display()
                    )));
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(cant("lock", &error)),
            }
        }
    }
}
