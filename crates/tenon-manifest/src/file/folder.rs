//! Manifest files from disk.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{ManifestFile, ManifestProblem};
use crate::settings::Settings;

/// Reads one file. A file that can't be read has that as its problem.
pub fn read_file(path: &Path, settings: &Settings) -> ManifestFile {
    let shown = path.display().to_string();
    match text_of(path, settings) {
        Ok(text) => ManifestFile::parse(shown, &text, settings),
        Err(message) => unreadable(shown, message),
    }
}

/// Reads all `*.yaml`, `*.yml` and `*.json` files of a folder and of the folders in it, sorted by path. Each owns its objects
/// under its path below the folder. Hidden files and folders are left out.
pub fn read_dir(folder: &Path, settings: &Settings) -> io::Result<Vec<ManifestFile>> {
    let mut paths = Vec::new();
    collect(folder, settings.folder_depth_max, &mut paths)?;
    paths.sort();
    let mut files: Vec<ManifestFile> = paths
        .iter()
        .take(settings.files_max)
        .map(|path| {
            let below = path.strip_prefix(folder).unwrap_or(path);
            read_file(path, settings).owned_by(below.to_string_lossy())
        })
        .collect();
    if paths.len() > settings.files_max {
        let message = format!(
            "the folder has {} manifests; at most {} are read",
            paths.len(),
            settings.files_max
        );
        files.push(unreadable(folder.display().to_string(), message));
    }
    Ok(files)
}

/// What tells without reading them whether files of a folder have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderMark(Vec<(PathBuf, [i64; 2], [u64; 2])>);

/// The present mark of the files that [`read_dir`] would read.
pub fn mark_of_dir(folder: &Path, settings: &Settings) -> io::Result<FolderMark> {
    let mut paths = Vec::new();
    collect(folder, settings.folder_depth_max, &mut paths)?;
    paths.sort();
    let mark = |path: PathBuf| {
        let facts = std::fs::metadata(&path)?;
        // Nobody can set the time of the last change of a file's facts, unlike that of its content.
        let changed = [facts.ctime(), facts.ctime_nsec()];
        Ok((path, changed, [facts.ino(), facts.len()]))
    };
    let marks: io::Result<_> = paths.into_iter().map(mark).collect();
    Ok(FolderMark(marks?))
}

fn collect(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_none_or(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        if path.is_dir() {
            if depth > 0 {
                collect(&path, depth - 1, paths)?;
            }
        } else if path.extension().is_some_and(|extension| {
            ["yaml", "yml", "json"]
                .iter()
                .any(|known| extension.eq_ignore_ascii_case(known))
        }) {
            paths.push(path);
        }
    }
    Ok(())
}

fn text_of(path: &Path, settings: &Settings) -> Result<String, String> {
    let unreadable = |error: io::Error| format!("the file can't be read: {error}");
    let bytes_max = settings.file_bytes_max;
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, bytes_max + 1), &mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > bytes_max {
        return Err(format!("the file is larger than {bytes_max} bytes; split it"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..place].split(|byte| *byte == b'\n').count();
        format!("the file is not UTF-8: line {line} has a byte that is no text")
    })
}

fn unreadable(path: String, message: String) -> ManifestFile {
    let mut file = ManifestFile::empty(path.clone());
    file.problems.push(ManifestProblem {
        file: path,
        line: 0,
        column: 0,
        field: String::new(),
        message,
    });
    file
}
