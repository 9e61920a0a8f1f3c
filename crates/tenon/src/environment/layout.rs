//! Where everything of an environment lies.

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::failure::fail;

/// The longest path of a Unix socket that every system takes, with a little room.
const SOCKET_PATH_MAX: usize = 100;

/// The longest that a socket's path below the environment gets: a component's name and a file name.
const SOCKET_SUFFIX_MAX: usize = 40;

/// The paths of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout of the environment in this directory, which need not exist.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The environment's directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cluster name and id, store, defaults.
    pub(crate) fn environment_file(&self) -> PathBuf {
        self.root.join("environment.toml")
    }

    /// A component's directory.
    pub(crate) fn component(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A component's settings.
    pub(crate) fn component_file(&self, name: &str) -> PathBuf {
        self.component(name).join("component.toml")
    }

    /// A load balancer's certificate for clients, where no object says otherwise.
    pub(crate) fn public_certificate(&self, name: &str) -> PathBuf {
        self.component(name).join("tls").join("cert.pem")
    }

    /// Its key.
    pub(crate) fn public_key(&self, name: &str) -> PathBuf {
        self.component(name).join("tls").join("key.pem")
    }

    /// What a component keeps while it runs: lock, pid, what is desired, what it remembers.
    pub(crate) fn component_run(&self, name: &str) -> PathBuf {
        self.component(name).join("run")
    }

    /// A component's log.
    pub(crate) fn component_log(&self, name: &str) -> PathBuf {
        self.component(name).join("logs").join(format!("{name}.log"))
    }

    /// What the supervisor keeps: lock, pid, what is desired of the environment.
    pub(crate) fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// The supervisor's log.
    pub(crate) fn supervisor_log(&self) -> PathBuf {
        self.root.join("logs").join("supervisor.log")
    }

    /// The cluster's CA.
    pub(crate) fn ca(&self) -> PathBuf {
        self.root.join("ca")
    }

    /// The secret key and the first admin's password.
    pub(crate) fn secrets(&self) -> PathBuf {
        self.root.join("secrets")
    }

    /// Where user code is dropped.
    pub(crate) fn services(&self) -> PathBuf {
        self.root.join("services")
    }

    /// Where objects are dropped.
    pub(crate) fn manifests(&self) -> PathBuf {
        self.root.join("manifests")
    }

    /// What services read as `self.config`.
    pub(crate) fn user_config(&self) -> PathBuf {
        self.root.join("user-config")
    }

    /// The SQLite files.
    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The socket on which components and the command line find the supervisor.
    pub(crate) fn supervisor_socket(&self) -> PathBuf {
        self.socket("run", "supervisor.sock")
    }

    /// The store's socket.
    pub(crate) fn store_socket(&self) -> PathBuf {
        self.socket("data", "store.sock")
    }

    /// A socket of a component.
    pub(crate) fn component_socket(&self, component: &str, file: &str) -> PathBuf {
        self.socket(&format!("{component}/run"), file)
    }

    /// The directory below which all sockets of the environment lie.
    pub(crate) fn sockets(&self) -> PathBuf {
        self.short_directory().unwrap_or_else(|| self.root.clone())
    }

    /// Where sockets lie if the environment's own path is too long for them: a function of that path, so that everybody
    /// finds it. None if the environment's directory will do.
    pub(crate) fn short_directory(&self) -> Option<PathBuf> {
        let length = self.root.as_os_str().len();
        if length + SOCKET_SUFFIX_MAX <= SOCKET_PATH_MAX {
            return None;
        }
        let digest = ring::digest::digest(&ring::digest::SHA256, self.root.as_os_str().as_encoded_bytes());
        let head = digest.as_ref().first_chunk().expect("a SHA-256 has 32 bytes");
        Some(PathBuf::from(format!("/tmp/tenon-{:016x}", u64::from_be_bytes(*head))))
    }

    /// Makes the directory for sockets if the environment's own path is too long, and checks that nobody else made it.
    pub(crate) fn prepare_sockets(&self) -> anyhow::Result<()> {
        let Some(directory) = self.short_directory() else {
            return Ok(());
        };
        match std::fs::DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("can't create {}", directory.display())),
        }
        let metadata = std::fs::symlink_metadata(&directory)?;
        let ours = metadata.uid() == rustix::process::geteuid().as_raw();
        if !metadata.is_dir() || !ours || metadata.mode() & 0o077 != 0 {
            fail!(
                Failed,
                format!("{} is not a private directory of this user", directory.display()),
                "the sockets of this environment go there because its own path is too long: remove it, or move the environment to a shorter path"
            );
        }
        Ok(())
    }

    /// The path of a socket, which stays short whatever the environment's path is.
    fn socket(&self, folder: &str, file: &str) -> PathBuf {
        match self.short_directory() {
            Some(directory) => {
                let owner = folder.split('/').next().unwrap_or(folder);
                directory.join(format!("{owner}-{file}"))
            }
            None => self.root.join(folder).join(file),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_paths_stay_short_and_distinct() {
        let long = Layout::new(PathBuf::from(format!("/{}", "x".repeat(300))));
        let paths = [
            long.supervisor_socket(),
            long.store_socket(),
            long.component_socket("server1", "data.sock"),
            long.component_socket("server2", "data.sock"),
        ];
        for path in &paths {
            assert!(path.as_os_str().len() <= SOCKET_PATH_MAX, "{}", path.display());
        }
        let distinct: std::collections::BTreeSet<_> = paths.iter().collect();
        assert_eq!(distinct.len(), paths.len());
        let short = Layout::new(PathBuf::from("/srv/q"));
        assert_eq!(short.store_socket(), Path::new("/srv/q/data/store.sock"));
        assert_eq!(
            short.component_socket("server1", "data.sock"),
            Path::new("/srv/q/server1/run/data.sock")
        );
    }
}
