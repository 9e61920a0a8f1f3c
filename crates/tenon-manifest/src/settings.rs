//! Limits on what is read as a manifest.

use serde::{Deserialize, Serialize};

/// Limits on manifests, so that no file can take memory or time without end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "each is a limit and says so")]
pub struct Settings {
    /// The most bytes of one file.
    pub file_bytes_max: u64,
    /// The most files of one folder, with the folders in it.
    pub files_max: usize,
    /// How deep folders may lie in each other.
    pub folder_depth_max: usize,
    /// The most values of one file, aliases counted as often as they are used.
    pub nodes_max: usize,
    /// How deep lists and mappings may lie in each other.
    pub depth_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            file_bytes_max: 32 * 1024 * 1024,
            files_max: 10_000,
            folder_depth_max: 16,
            nodes_max: 2_000_000,
            depth_max: 64,
        }
    }
}
