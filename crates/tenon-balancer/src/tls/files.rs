//! Notices that the files of a certificate have changed, without reading them each time.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::certificate::{CertificatePem, CertificateSource};

/// How the files of a certificate were when they were looked at last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp([Option<FileStamp>; 2]);

/// A file's identity, size and times; a file that was written or replaced differs in at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// How the files are now; `None` for a certificate that is not in files.
    pub(super) fn of(source: &CertificateSource) -> Option<Self> {
        match &source.pem {
            CertificatePem::Inline { .. } => None,
            CertificatePem::Files(files) => Some(Self([stamp(&files.certificate), stamp(&files.private_key)])),
            CertificatePem::Issued(path) => Some(Self([stamp(path), None])),
        }
    }
}

fn stamp(path: &Path) -> Option<FileStamp> {
    let metadata: Metadata = std::fs::metadata(path).ok()?;
    Some(FileStamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}
