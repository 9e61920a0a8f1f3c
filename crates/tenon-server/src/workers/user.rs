//! The user that workers run as.

use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

/// Where the users of the machine are listed.
const USERS: &str = "/etc/passwd";

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerUser {
    /// The user's name.
    pub name: String,
    /// The user's number.
    pub uid: u32,
    /// The number of the user's own group.
    pub gid: u32,
    /// The user's home directory.
    pub home: PathBuf,
}

/// Why workers can't run as a user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is no such user.
    #[error("worker_user: this machine has no user '{0}'")]
    Unknown(String),
    /// The list of users can't be read.
    #[error("worker_user: can't read {USERS}")]
    List(#[source] io::Error),
    /// Only root may start processes of other users.
    #[error("worker_user: only a server that runs as root can run workers as '{0}'")]
    NotRoot(String),
    /// The user can't reach the files that it has to run.
    #[error(
        "worker_user: '{user}' can't enter some directories: let it with `chmod o+x {paths}`, or put the environment elsewhere"
    )]
    Closed {
        /// Who.
        user: String,
        /// Which directories, from the outermost.
        paths: String,
    },
    /// A file can't be given to the user.
    #[error("worker_user: can't give {path} to the user")]
    Give {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl WorkerUser {
    /// The user of a setting; none if the setting is empty or names the user that the server runs as.
    pub(crate) fn of_setting(name: &str) -> Result<Option<Self>, UserError> {
        if name.is_empty() {
            return Ok(None);
        }
        let users = std::fs::read_to_string(USERS).map_err(UserError::List)?;
        let user = find(&users, name).ok_or_else(|| UserError::Unknown(name.to_owned()))?;
        let own = rustix::process::geteuid().as_raw();
        match own {
            own if own == user.uid => Ok(None),
            0 => Ok(Some(user)),
            _ => Err(UserError::NotRoot(name.to_owned())),
        }
    }

    /// Checks that the user can enter a directory and all above it.
    pub(crate) fn check_can_enter(&self, directory: &Path) -> Result<(), UserError> {
        let is_closed = |path: &&Path| std::fs::metadata(path).is_ok_and(|metadata| !self.can_enter(&metadata));
        let closed = directory.ancestors().filter(is_closed);
        let mut closed: Vec<_> = closed.map(|path| path.display().to_string()).collect();
        if closed.is_empty() {
            return Ok(());
        }
        closed.reverse();
        Err(UserError::Closed {
            user: self.name.clone(),
            paths: closed.join(" "),
        })
    }

    fn can_enter(&self, directory: &std::fs::Metadata) -> bool {
        let bit = match (directory.uid() == self.uid, directory.gid() == self.gid) {
            (true, _) => 0o100,
            (_, true) => 0o010,
            _ => 0o001,
        };
        directory.mode() & bit != 0
    }

    /// Makes everything below a path the user's, so that it can be read whatever the server's own files are like, and compiled
    /// Python can be kept beside its source.
    pub(crate) fn give(&self, path: &Path) -> Result<(), UserError> {
        let failed = |source| UserError::Give {
            path: path.to_owned(),
            source,
        };
        if path.is_symlink() {
            return Ok(());
        }
        if path.is_dir() {
            for entry in std::fs::read_dir(path).map_err(failed)? {
                self.give(&entry.map_err(failed)?.path())?;
            }
        }
        chown(path, Some(self.uid), Some(self.gid)).map_err(failed)
    }
}

fn find(users: &str, name: &str) -> Option<WorkerUser> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(WorkerUser {
            name: name.to_owned(),
            uid,
            gid,
            home: fields.nth(1)?.into(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\nservices:x:990:991:Services:/var/lib/services:/bin/false\n";
        let user = find(users, "services").unwrap();
        assert_eq!((user.uid, user.gid, user.home), (990, 991, "/var/lib/services".into()));
        assert_eq!(find(users, "service"), None);
        assert_eq!(WorkerUser::of_setting("").unwrap(), None);
        let unknown = WorkerUser::of_setting("no:such user");
        assert!(matches!(unknown, Err(UserError::Unknown(_))), "{unknown:?}");
    }
}
