//! Port ranges for environments that run side by side.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;

use rustix::fs::{FlockOperation, flock};

/// A range of ports that no other test has, as long as this lives.
#[derive(Debug)]
pub(super) struct PortRange {
    /// What goes to `--port-base`.
    pub(super) base: u16,
    _lock: File,
}

const FIRST: u16 = 20_000;
const STEP: u16 = 120;
const RANGES: u16 = 90;

impl PortRange {
    /// Takes a free range below the ephemeral ports: a file lock keeps other tests out, a look keeps out what else runs.
    pub(super) fn take() -> Self {
        for index in 0..RANGES {
            let base = FIRST + index * STEP;
            let path = PathBuf::from(format!("/tmp/tenon-test-ports-{base}"));
            let Ok(lock) = File::create(&path) else { continue };
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() && is_free(base) {
                return Self { base, _lock: lock };
            }
        }
        panic!("no range of ports is free from {FIRST} on");
    }
}

fn is_free(base: u16) -> bool {
    let used = (0..5).chain(10..16).chain(60..66);
    used.into_iter()
        .all(|offset| TcpListener::bind(("127.0.0.1", base + offset)).is_ok())
}
