//! What is to run, kept on disk: it outlives the supervisor, and a new one goes by it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::layout::Layout;

/// What the owner of the environment wants of a component, or of the environment as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Desired {
    /// It runs, and is started again if it dies.
    Running,
    /// It was stopped by name, and stays so until it is started by name.
    Stopped,
    /// It does not run because only other components were started; starting the environment starts it.
    Idle,
}

impl Desired {
    fn as_str(self) -> &'static str {
        match self {
            Desired::Running => "running",
            Desired::Stopped => "stopped",
            Desired::Idle => "idle",
        }
    }
}

/// What is desired of a component; running if nothing was ever said.
pub(crate) fn of_component(layout: &Layout, name: &str) -> Desired {
    read(&component_path(layout, name)).unwrap_or(Desired::Running)
}

/// Keeps what is desired of a component.
pub(crate) fn set_component(layout: &Layout, name: &str, desired: Desired) -> anyhow::Result<()> {
    write(&component_path(layout, name), desired)
}

/// What is desired of the environment; stopped if nothing was ever said.
pub(crate) fn of_environment(layout: &Layout) -> Desired {
    read(&layout.run().join("desired")).unwrap_or(Desired::Stopped)
}

/// Keeps what is desired of the environment.
pub(crate) fn set_environment(layout: &Layout, desired: Desired) -> anyhow::Result<()> {
    write(&layout.run().join("desired"), desired)
}

fn component_path(layout: &Layout, name: &str) -> PathBuf {
    layout.component_run(name).join("desired")
}

fn read(path: &Path) -> Option<Desired> {
    let text = std::fs::read_to_string(path).ok()?;
    [Desired::Running, Desired::Stopped, Desired::Idle]
        .into_iter()
        .find(|desired| desired.as_str() == text.trim())
}

fn write(path: &Path, desired: Desired) -> anyhow::Result<()> {
    let next = path.with_extension("next");
    let result = (|| {
        std::fs::create_dir_all(path.parent().unwrap_or(path))?;
        let mut file = std::fs::File::create(&next)?;
        writeln!(file, "{}", desired.as_str())?;
        file.sync_all()?;
        std::fs::rename(&next, path)
    })();
    result.with_context(|| format!("can't write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_desired_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path().to_owned());
        assert_eq!(of_component(&layout, "server1"), Desired::Running);
        assert_eq!(of_environment(&layout), Desired::Stopped);
        set_component(&layout, "server1", Desired::Stopped).unwrap();
        set_environment(&layout, Desired::Running).unwrap();
        assert_eq!(of_component(&layout, "server1"), Desired::Stopped);
        assert_eq!(of_environment(&layout), Desired::Running);
    }
}
