//! An environment: the directory that holds one cluster's components of this host.
//!
//! Knows where everything lies and how it is made; does not run anything (`supervisor` does).

pub(crate) mod additions;
pub(crate) mod authority;
mod component;
pub(crate) mod create;
pub(crate) mod demo;
pub(crate) mod desired;
pub(crate) mod join;
mod layering;
pub(crate) mod layout;
pub(crate) mod locks;
mod made;
pub(crate) mod ports;
pub(crate) mod public_certificate;
pub(crate) mod python;
pub(crate) mod secrets;
pub(crate) mod servers;
pub(crate) mod settings;

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::failure::{Exit, Failure, fail};
use layout::Layout;
use settings::{ComponentSettings, EnvironmentSettings};

/// An environment that exists.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    layout: Layout,
    settings: EnvironmentSettings,
}

/// What a command is about: an environment, or one of its components.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The environment.
    pub(crate) environment: Environment,
    /// The component's name; none for all of them.
    pub(crate) component: Option<String>,
}

impl Environment {
    /// Opens the environment whose directory this is.
    pub(crate) fn open(directory: &Path) -> anyhow::Result<Self> {
        let Ok(root) = directory.canonicalize() else {
            fail!(
                NoSuchPath,
                format!("{} does not exist", directory.display()),
                "create an environment with `tenon quickstart create DIR`"
            );
        };
        let layout = Layout::new(root);
        if !layout.environment_file().is_file() {
            fail!(
                NotAnEnvironment,
                format!("{} is not an environment", layout.root().display()),
                "give the directory that `tenon quickstart create` made"
            );
        }
        let settings = EnvironmentSettings::read(&layout.environment_file())?;
        Ok(Self { layout, settings })
    }

    /// Where things lie.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What `environment.toml` says.
    pub(crate) fn settings(&self) -> &EnvironmentSettings {
        &self.settings
    }

    /// The settings of every component, in the order in which they are started.
    pub(crate) fn components(&self) -> anyhow::Result<Vec<ComponentSettings>> {
        let mut components = Vec::new();
        let root = self.layout.root();
        let entries = std::fs::read_dir(root).with_context(|| format!("can't read {}", root.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("can't read {}", root.display()))?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if self.layout.component_file(&name).is_file() {
                components.push(self.component(&name)?);
            }
        }
        components.sort_by_key(|component| (component.role, natural_key(&component.name)));
        Ok(components)
    }

    /// The settings of one component.
    pub(crate) fn component(&self, name: &str) -> anyhow::Result<ComponentSettings> {
        ComponentSettings::read(&self.layout.component_file(name), name, &[])
    }
}

/// Sorts server2 before server10.
fn natural_key(name: &str) -> (String, u64) {
    let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (word, number) = name.split_at(name.len() - digits);
    (word.to_owned(), number.parse().unwrap_or(0))
}

impl Target {
    /// Finds what a command is about.
    ///
    /// `path` is an environment, a component's directory, or a component's name; without it the environment comes from
    /// `--env` (or `TENON_ENV`), or from the current directory and its parents.
    pub(crate) fn find(path: Option<&Path>, env: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            let environment = find_environment(env)?;
            return Ok(Self {
                environment,
                component: None,
            });
        };
        if path.is_dir()
            && let Some(target) = Self::at(path)?
        {
            return Ok(target);
        }
        if let Some(name) = plain_name(path)
            && let Ok(environment) = find_environment(env)
        {
            if environment.layout.component_file(name).is_file() {
                let component = Some(name.to_owned());
                return Ok(Self { environment, component });
            }
            if !path.exists() {
                fail!(
                    NoSuchPath,
                    format!("{} has no component '{name}'", environment.layout.root().display()),
                    format!("it has {}", component_names(&environment)?)
                );
            }
        }
        if path.exists() {
            fail!(
                NotAnEnvironment,
                format!("{} is no environment and no component of one", path.display()),
                "give the directory that `tenon quickstart create` made, or one of those in it"
            );
        }
        fail!(
            NoSuchPath,
            format!("{} does not exist", path.display()),
            "give an environment or one of its components"
        )
    }

    /// What this directory is, if it is an environment or a component of one.
    fn at(directory: &Path) -> anyhow::Result<Option<Self>> {
        let directory = directory.canonicalize()?;
        if Layout::new(directory.clone()).environment_file().is_file() {
            let environment = Environment::open(&directory)?;
            return Ok(Some(Self {
                environment,
                component: None,
            }));
        }
        let (Some(parent), Some(name)) = (directory.parent(), directory.file_name().and_then(|name| name.to_str()))
        else {
            return Ok(None);
        };
        let parent = Layout::new(parent.to_owned());
        if parent.environment_file().is_file() && parent.component_file(name).is_file() {
            let environment = Environment::open(parent.root())?;
            let component = Some(name.to_owned());
            return Ok(Some(Self { environment, component }));
        }
        Ok(None)
    }

    /// The components that the command is about, in the order in which they are started.
    pub(crate) fn components(&self) -> anyhow::Result<Vec<ComponentSettings>> {
        let mut components = self.environment.components()?;
        if let Some(name) = &self.component {
            components.retain(|component| &component.name == name);
        }
        Ok(components)
    }

    /// The path that the user would give, for messages.
    pub(crate) fn path(&self) -> PathBuf {
        match &self.component {
            Some(name) => self.environment.layout.component(name),
            None => self.environment.layout.root().to_owned(),
        }
    }
}

/// The environment that `--env` or `TENON_ENV` names, or the one that the current directory lies in.
pub(crate) fn find_environment(env: Option<&Path>) -> anyhow::Result<Environment> {
    if let Some(directory) = env {
        return Environment::open(directory);
    }
    let here = std::env::current_dir().context("the current directory can't be read")?;
    let found = here
        .ancestors()
        .find(|directory| Layout::new((*directory).to_owned()).environment_file().is_file());
    match found {
        Some(directory) => Environment::open(directory),
        None => Err(Failure::new(
            Exit::NotAnEnvironment,
            format!("no environment was found in {} or above it", here.display()),
            "give one with --env DIR or TENON_ENV, or go to its directory",
        )
        .into()),
    }
}

/// The path's text if it is one plain name, without any directory.
fn plain_name(path: &Path) -> Option<&str> {
    let name = path.to_str()?;
    (!name.is_empty() && !name.contains('/') && !name.starts_with('.')).then_some(name)
}

fn component_names(environment: &Environment) -> anyhow::Result<String> {
    let names: Vec<String> = environment
        .components()?
        .into_iter()
        .map(|component| component.name)
        .collect();
    Ok(names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_sort_by_number() {
        let mut names = ["server10", "server2", "server1"];
        names.sort_by_key(|name| natural_key(name));
        assert_eq!(names, ["server1", "server2", "server10"]);
    }
}
