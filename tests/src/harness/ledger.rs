//! What a client was told is done, written down so that nothing can make it unknown again.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A file of acknowledgements, each on disk before the next request is sent.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: Mutex<File>,
}

impl Ledger {
    /// A new ledger in this file, which must not be there yet.
    pub fn create(path: &Path) -> Self {
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(path)
            .expect("the ledger's file can be made");
        Self {
            path: path.to_owned(),
            file: Mutex::new(file),
        }
    }

    /// Writes down that this id was acknowledged.
    pub fn acknowledged(&self, id: &str) {
        let mut file = self.file.lock().expect("no test thread panics while it writes");
        writeln!(file, "{id}").expect("the ledger can be written");
        file.sync_data().expect("the ledger can be flushed");
    }

    /// Everything that was acknowledged.
    pub fn read(&self) -> Vec<String> {
        let file = File::open(&self.path).expect("the ledger can be read");
        BufReader::new(file)
            .lines()
            .map(|line| line.expect("the ledger is text"))
            .collect()
    }
}
