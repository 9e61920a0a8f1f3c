//! What is kept on disk: accounts at authorities, certificates with their keys, what became of orders.

use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::kinds::AcmeConfig;
use crate::tls::fingerprint;

/// Only the owner may read what is in it: there are private keys.
pub(super) const FILE_MODE: u32 = 0o600;

const FOLDER_MODE: u32 = 0o700;

/// Characters of a certificate's name that a file's name begins with, for those who look at the folder.
const SHOWN_MAX: usize = 40;

/// The folder.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Makes it, if it is not there.
    pub(super) fn create(&self) -> io::Result<()> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(&self.0)
    }

    /// The certificate of this name that an authority issued, with its key. Another authority's goes elsewhere: that of one for trials is
    /// no stand-in for a real one.
    pub(super) fn issued(&self, name: &str, config: &AcmeConfig) -> PathBuf {
        self.0.join(format!("{}.pem", stem(name, config)))
    }

    /// What became of its orders.
    pub(super) fn attempts(&self, name: &str, config: &AcmeConfig) -> PathBuf {
        self.0.join(format!("{}.json", stem(name, config)))
    }

    /// The account at an authority; all certificates with the same contacts share it.
    pub(super) fn account(&self, config: &AcmeConfig) -> PathBuf {
        let mut contacts = config.contact.clone();
        contacts.sort_unstable();
        let key = format!("{}\n{}", config.directory, contacts.join("\n"));
        self.0.join(format!("account-{}.json", short(&key)))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

/// Names of objects may be long and have any characters, so a part of a digest tells them apart.
fn stem(name: &str, config: &AcmeConfig) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || "_-".contains(*c);
    let mut stem: String = name.chars().filter(is_plain).take(SHOWN_MAX).collect();
    // Writing to a string can't fail.
    let _ = write!(stem, "-{}", short(&format!("{}\n{name}", config.directory)));
    stem
}

fn short(text: &str) -> String {
    fingerprint(text.as_bytes()).chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_certificate_of_each_authority_has_a_file_of_its_own() {
        let folder = Folder::new("/f".into());
        let at = |directory: &str| AcmeConfig {
            directory: directory.to_owned(),
            ..AcmeConfig::default()
        };
        let names = ["a", "a.b", "ab", "../x", &"ü".repeat(200)];
        let mut paths: Vec<_> = names
            .iter()
            .flat_map(|name| {
                [
                    folder.issued(name, &at("https://a")),
                    folder.issued(name, &at("https://b")),
                ]
            })
            .collect();
        assert!(paths.iter().all(|path| path.parent() == Some(Path::new("/f"))));
        assert!(paths.iter().all(|path| path.file_name().unwrap().len() < 100));
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), 10);
    }
}
