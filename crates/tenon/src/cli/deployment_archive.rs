//! Archives of deployments: a tar file with `manifest.json` first and the files behind it, below `files/`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use tenon_protocol::control::ExportedDeployment;
use tenon_store::DeploymentFile;

use crate::failure::fail;

/// How the names of archives end.
pub(super) const ARCHIVE_SUFFIX: &str = ".tar";

const MANIFEST: &str = "manifest.json";
const FILES: &str = "files/";

/// The version of the layout.
const FORMAT: u32 = 1;

/// What an archive holds.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    /// The worker group.
    group: String,
    /// The number that the deployment had where it comes from, when it was made, and from what.
    number: u64,
    created_at: String,
    source: String,
    services: Vec<String>,
    files: Vec<ManifestFile>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ManifestFile {
    path: String,
    sha256: String,
    size_bytes: u64,
}

/// Writes a deployment to an archive.
pub(super) fn write(path: &Path, exported: ExportedDeployment) -> anyhow::Result<()> {
    let mut files = Vec::with_capacity(exported.contents.len());
    for file in exported.contents {
        let content = BASE64_STANDARD
            .decode(&file.content)
            .with_context(|| format!("{} came in another form than base64", file.path))?;
        files.push(DeploymentFile::new(file.path, content));
    }
    let summary = exported.summary;
    let describe = |file: &DeploymentFile| ManifestFile {
        path: file.path.clone(),
        sha256: file.sha256.clone(),
        size_bytes: file.content.len() as u64,
    };
    let manifest = Manifest {
        format: FORMAT,
        group: summary.group,
        number: summary.number,
        created_at: summary.created_at.to_string(),
        source: summary.source,
        services: exported.service_names,
        files: files.iter().map(describe).collect(),
    };
    let write = || -> std::io::Result<()> {
        let mut archive = tar::Builder::new(File::create(path)?);
        append(&mut archive, MANIFEST, &serde_json::to_vec_pretty(&manifest)?)?;
        for file in &files {
            append(&mut archive, &format!("{FILES}{}", file.path), &file.content)?;
        }
        archive.into_inner()?.flush()
    };
    write().with_context(|| format!("can't write {}", path.display()))
}

fn append(archive: &mut tar::Builder<File>, name: &str, content: &[u8]) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, content)
}

/// The worker group and the files of an archive, each as its hash says.
pub(super) fn read(path: &Path) -> anyhow::Result<(String, Vec<DeploymentFile>)> {
    let wrong = |why: &str| format!("{} is no archive of a deployment: {why}", path.display());
    let mut contents = match contents(path) {
        Ok(contents) => contents,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Err(error).with_context(|| format!("can't read {}", path.display()));
        }
        Err(_) => fail!(InvalidInput, wrong("it is no tar file, or not a whole one"), ""),
    };
    let Some(manifest) = contents.remove(MANIFEST) else {
        fail!(InvalidInput, wrong("it has no manifest.json"), "");
    };
    let manifest: Manifest = match serde_json::from_slice(&manifest) {
        Ok(manifest) => manifest,
        Err(error) => fail!(InvalidInput, wrong(&format!("manifest.json: {error}")), ""),
    };
    if manifest.format != FORMAT {
        let why = format!("its format is {}, this version knows {FORMAT}", manifest.format);
        fail!(InvalidInput, wrong(&why), "");
    }
    let mut files = Vec::with_capacity(manifest.files.len());
    for described in manifest.files {
        let Some(content) = contents.remove(&format!("{FILES}{}", described.path)) else {
            fail!(InvalidInput, wrong(&format!("{} is missing", described.path)), "");
        };
        let file = DeploymentFile::new(described.path, content);
        if file.sha256 != described.sha256 {
            fail!(
                InvalidInput,
                wrong(&format!("{} is not what its hash says", file.path)),
                ""
            );
        }
        files.push(file);
    }
    Ok((manifest.group, files))
}

fn contents(path: &Path) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut archive = tar::Archive::new(File::open(path)?);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        found.insert(name, content);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenon_model::Timestamp;
    use tenon_protocol::control::{DeployFile, DeploymentState, DeploymentSummary};

    fn exported(files: &[(&str, &str)]) -> ExportedDeployment {
        let encode = |(path, content): &(&str, &str)| DeployFile {
            path: (*path).to_owned(),
            content: BASE64_STANDARD.encode(content),
        };
        ExportedDeployment {
            summary: DeploymentSummary {
                number: 7,
                group: "crm".to_owned(),
                state: DeploymentState::Live,
                source: "a test".to_owned(),
                created_at: Timestamp::default(),
                files: files.len() as u64,
                services: 1,
                refused: Vec::new(),
                canary: None,
                reason: String::new(),
            },
            service_names: vec!["crm.one".to_owned()],
            contents: files.iter().map(encode).collect(),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deployment.tar");
        let long = format!("{}/api.py", "deep/".repeat(60).trim_end_matches('/'));
        let files = [
            ("group.toml", "workers = 1\n"),
            (long.as_str(), "x = 1\n"),
            ("empty.py", ""),
        ];
        write(&path, exported(&files)).unwrap();
        let (group, read) = read(&path).unwrap();
        let expected: Vec<_> = files
            .iter()
            .map(|(path, content)| DeploymentFile::new(*path, content.as_bytes().to_vec()))
            .collect();
        assert_eq!((group.as_str(), read), ("crm", expected));
    }

    #[test]
    fn a_file_that_was_changed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deployment.tar");
        write(&path, exported(&[("a.py", "value = 'original'\n")])).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let at = bytes.windows(8).position(|window| window == b"original").unwrap();
        let mut changed = bytes.clone();
        changed[at] = b'O';
        std::fs::write(&path, changed).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("a.py is not what its hash says"), "{error}");
        std::fs::write(&path, b"no tar").unwrap();
        assert!(read(&path).is_err());
    }
}
