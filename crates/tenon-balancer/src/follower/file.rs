//! Files that keep what was learnt last.

use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::BalancerError;

/// What was kept; none if there is nothing, or nothing that can be read.
pub(crate) fn load<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let bytes = std::fs::read(path).ok()?;
    serde_json::from_slice(&bytes)
        .inspect_err(|error| {
            tracing::warn!(path = %path.display(), %error, "what was kept on disk can't be read; starting without");
        })
        .ok()
}

/// Writes it so that a crash leaves the old one or the new one, readable for those only whom `mode` allows.
pub(crate) fn keep(path: &Path, known: &impl Serialize, mode: u32) -> Result<(), BalancerError> {
    let bytes = serde_json::to_vec(known).map_err(std::io::Error::from);
    keep_bytes(path, bytes, mode)
}

/// The same with a text as it is.
pub(crate) fn keep_text(path: &Path, text: &str, mode: u32) -> Result<(), BalancerError> {
    keep_bytes(path, Ok(text.as_bytes().to_vec()), mode)
}

fn keep_bytes(path: &Path, bytes: std::io::Result<Vec<u8>>, mode: u32) -> Result<(), BalancerError> {
    let next = path.with_extension("next");
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&next)?;
        // The mode above is only that of a file that was not there.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(&bytes?)?;
        file.sync_data()?;
        std::fs::rename(&next, path)
    };
    write().map_err(|source| BalancerError::Keep {
        path: path.to_owned(),
        source,
    })
}
