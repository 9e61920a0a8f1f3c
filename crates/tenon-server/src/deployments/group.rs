//! Worker groups: which files belong to which, what runs them, and the limits that a group sets itself.

use std::collections::BTreeMap;

use serde::Deserialize;
use tenon_model::DurationText;
use tenon_store::{DEFAULT_GROUP, DeploymentFile};

use super::files::{FileSet, RESERVED};
use super::requirements::REQUIREMENTS;
use super::settings::DeploymentSettings;
use crate::workers::WorkerSettings;

/// The file that makes a folder a worker group, and holds its limits.
pub const GROUP_FILE: &str = "group.toml";

const NAME_BYTES_MAX: usize = 60;

/// How programs of Linux and most other systems begin.
pub(crate) const EXECUTABLE_MAGIC: &[u8] = b"\x7fELF";

/// Whether a group may be called so: letters, digits, `-` and `_`, the first one a letter or digit.
pub fn is_group_name(name: &str) -> bool {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.chars().all(is_plain)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// Whether a content is a program that can be run by itself.
pub fn is_executable(content: &[u8]) -> bool {
    content.starts_with(EXECUTABLE_MAGIC)
}

/// The groups of the files below a services folder, by name, with paths as they are in the group: a folder with a `group.toml`
/// is a group, a program is one by itself, and everything else belongs to the default one.
pub fn split_by_group(files: Vec<DeploymentFile>) -> BTreeMap<String, Vec<DeploymentFile>> {
    let paths = files
        .iter()
        .map(|file| (file.path.as_str(), is_executable(&file.content)));
    let groups = groups_of(paths);
    let mut split: BTreeMap<String, Vec<DeploymentFile>> = BTreeMap::new();
    for (file, (group, path)) in files.into_iter().zip(groups) {
        let file = DeploymentFile { path, ..file };
        split.entry(group).or_default().push(file);
    }
    split
}

/// The group of each path, and what it is called in there. A path comes with whether it is that of a program.
pub(crate) fn groups_of<'a>(paths: impl Iterator<Item = (&'a str, bool)> + Clone) -> Vec<(String, String)> {
    let folder = |(path, _): (&'a str, bool)| path.strip_suffix(GROUP_FILE)?.strip_suffix('/');
    let folders: Vec<&str> = paths
        .clone()
        .filter_map(folder)
        .filter(|folder| is_group_name(folder))
        .collect();
    let group = |(path, is_program): (&str, bool)| match path.split_once('/') {
        Some((folder, rest)) if folders.contains(&folder) => (folder.to_owned(), rest.to_owned()),
        None if is_program && is_group_name(path) && path != DEFAULT_GROUP => (path.to_owned(), path.to_owned()),
        _ => (DEFAULT_GROUP.to_owned(), path.to_owned()),
    };
    paths.map(group).collect()
}

/// Where a file of a group is below the services folder.
pub(crate) fn path_in_folder(group: &str, path: &str) -> String {
    if group == DEFAULT_GROUP || group == path {
        path.to_owned()
    } else {
        format!("{group}/{path}")
    }
}

/// What says how the other files are run: changed together, before these.
pub(crate) fn is_configuration(path: &str) -> bool {
    path == GROUP_FILE || path == REQUIREMENTS || path.starts_with(RESERVED)
}

/// Whether there is anything to run.
pub(crate) fn has_code(files: &FileSet) -> bool {
    files.below("").any(|file| !is_configuration(&file.path))
}

/// The program of a group that is one; none for a group of Python files.
pub(crate) fn program<'a>(group: &str, files: &'a FileSet) -> Option<&'a DeploymentFile> {
    files
        .get(group)
        .filter(|file| group != DEFAULT_GROUP && is_executable(&file.content))
}

/// What `group.toml` may say. What it does not say is as the server's settings have it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GroupFile {
    python: Option<String>,
    workers: Option<usize>,
    fork_workers: Option<bool>,
    threads: Option<u32>,
    memory_limit_bytes: Option<u64>,
    lifetime: Option<DurationText>,
    calls_max: Option<u64>,
    queue_calls_max: Option<usize>,
    queue_age_max: Option<DurationText>,
    in_flight_max: Option<u32>,
    in_flight_async_max: Option<u32>,
    import_timeout: Option<DurationText>,
    cancel_grace: Option<DurationText>,
    drain_timeout: Option<DurationText>,
    quarantine_deaths: Option<usize>,
}

impl GroupFile {
    fn apply(self, base: &WorkerSettings) -> WorkerSettings {
        let base = base.clone();
        WorkerSettings {
            python: self.python.unwrap_or(base.python),
            workers: self.workers.unwrap_or(base.workers),
            fork_workers: self.fork_workers.unwrap_or(base.fork_workers),
            threads: self.threads.unwrap_or(base.threads),
            memory_bytes_max: self.memory_limit_bytes.unwrap_or(base.memory_bytes_max),
            lifetime: self.lifetime.unwrap_or(base.lifetime),
            calls_max: self.calls_max.unwrap_or(base.calls_max),
            queue_calls_max: self.queue_calls_max.unwrap_or(base.queue_calls_max),
            queue_age_max: self.queue_age_max.unwrap_or(base.queue_age_max),
            in_flight_max: self.in_flight_max.unwrap_or(base.in_flight_max),
            in_flight_async_max: self.in_flight_async_max.unwrap_or(base.in_flight_async_max),
            import_timeout: self.import_timeout.unwrap_or(base.import_timeout),
            cancel_grace: self.cancel_grace.unwrap_or(base.cancel_grace),
            drain_timeout: self.drain_timeout.unwrap_or(base.drain_timeout),
            quarantine_deaths: self.quarantine_deaths.unwrap_or(base.quarantine_deaths),
            ..base
        }
    }
}

/// The limits of a group's workers: the server's, with what its `group.toml` says. An error is a sentence for its author.
pub(crate) fn worker_settings(
    files: &FileSet,
    base: &WorkerSettings,
    limits: &DeploymentSettings,
) -> Result<WorkerSettings, String> {
    let Some(file) = files.get(GROUP_FILE) else {
        return Ok(base.clone());
    };
    let text = std::str::from_utf8(&file.content).map_err(|_| "it is not UTF-8".to_owned())?;
    let said: GroupFile = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    let settings = said.apply(base);
    let within = |name: &str, value: u64, limit: u64| match value {
        value if value > limit => Err(format!("{name} is {value}, more than {limit}")),
        _ => Ok(()),
    };
    within("workers", settings.workers as u64, limits.group_workers_max)?;
    within("threads", settings.threads.into(), limits.group_threads_max)?;
    for (name, value) in [
        ("threads", settings.threads),
        ("in_flight_max", settings.in_flight_max),
        ("in_flight_async_max", settings.in_flight_async_max),
    ] {
        if value == 0 {
            return Err(format!("{name} is 0, and has to be at least 1"));
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &'static [u8]) -> DeploymentFile {
        DeploymentFile::new(path, content)
    }

    #[test]
    fn folders_with_a_group_file_and_programs_are_groups() {
        let split = split_by_group(vec![
            file("a.py", b""),
            file("crm/group.toml", b"workers = 1"),
            file("crm/deep/b.py", b""),
            file("deeper/still/group.toml", b""),
            file("lib.so", EXECUTABLE_MAGIC),
            file("no group/group.toml", b""),
            file("orders", EXECUTABLE_MAGIC),
            file("plain/c.py", b""),
        ]);
        let paths = |group: &str| split[group].iter().map(|file| file.path.as_str()).collect::<Vec<_>>();
        assert_eq!(split.keys().collect::<Vec<_>>(), ["crm", "default", "orders"]);
        assert_eq!(paths("crm"), ["group.toml", "deep/b.py"]);
        assert_eq!(paths("orders"), ["orders"]);
        let default = [
            "a.py",
            "deeper/still/group.toml",
            "lib.so",
            "no group/group.toml",
            "plain/c.py",
        ];
        assert_eq!(paths("default"), default);
        let orders = FileSet::from(split["orders"].clone());
        assert!(program("orders", &orders).is_some());
        assert!(program("other", &orders).is_none());
        assert_eq!(path_in_folder("crm", "deep/b.py"), "crm/deep/b.py");
        assert_eq!(path_in_folder("orders", "orders"), "orders");
    }

    #[test]
    fn a_group_file_changes_what_it_names_and_nothing_else() {
        let base = WorkerSettings {
            term_grace: DurationText::from_secs(9),
            ..WorkerSettings::default()
        };
        let read = |text: &'static str| {
            let files = FileSet::from(vec![file(GROUP_FILE, text.as_bytes())]);
            worker_settings(&files, &base, &DeploymentSettings::default())
        };
        let settings = read("workers = 3\nlifetime = \"1h\"\nmemory_limit_bytes = 1000").unwrap();
        assert_eq!((settings.workers, settings.memory_bytes_max), (3, 1000));
        assert_eq!(settings.lifetime, DurationText::from_secs(3600));
        assert_eq!(settings.term_grace, base.term_grace);
        assert_eq!(
            worker_settings(&FileSet::default(), &base, &DeploymentSettings::default()),
            Ok(base.clone())
        );
        for (wrong, says) in [
            ("worker = 3", "worker"),
            ("workers = 100000", "more than"),
            ("threads = 0", "at least 1"),
            ("worker_user = \"root\"", "worker_user"),
            ("= 3", "line 1"),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }
}
