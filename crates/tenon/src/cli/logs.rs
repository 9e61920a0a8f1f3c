//! `tenon logs`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::Global;
use crate::environment::Target;
use crate::failure::fail;

/// How often to look for new lines.
const LOOK: Duration = Duration::from_millis(200);

/// Shows the logs of an environment, or of a component.
#[derive(Debug, Args)]
pub(super) struct Logs {
    /// An environment or one of its components
    path: Option<PathBuf>,
    /// Go on with what is added
    #[arg(short, long)]
    follow: bool,
    /// How many of the last lines of each log to begin with
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    lines: usize,
}

impl Logs {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let target = global.target(self.path.as_deref())?;
        let mut logs = logs_of(&target)?;
        if !logs.iter().any(|log| log.path.is_file()) && !self.follow {
            fail!(
                Failed,
                "there are no logs yet",
                "start the environment with `tenon start`"
            );
        }
        for log in &mut logs {
            log.print_last(self.lines)?;
        }
        if !self.follow {
            return Ok(());
        }
        loop {
            std::thread::sleep(LOOK);
            for log in &mut logs {
                log.print_new()?;
            }
        }
    }
}

fn logs_of(target: &Target) -> anyhow::Result<Vec<Log>> {
    let layout = target.environment.layout();
    let mut logs: Vec<Log> = target
        .components()?
        .into_iter()
        .map(|component| Log::new(&component.name, layout.component_log(&component.name)))
        .collect();
    if target.component.is_none() {
        logs.insert(0, Log::new("supervisor", layout.supervisor_log()));
    } else {
        // One log needs no names before its lines.
        for log in &mut logs {
            log.prefix.clear();
        }
    }
    Ok(logs)
}

/// A log that is read as it grows.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    prefix: String,
    inode: u64,
    position: u64,
}

impl Log {
    fn new(name: &str, path: PathBuf) -> Self {
        Self {
            path,
            prefix: format!("{name:<13} | "),
            inode: 0,
            position: 0,
        }
    }

    fn print_last(&mut self, lines: usize) -> anyhow::Result<()> {
        let Ok(file) = File::open(&self.path) else {
            return Ok(());
        };
        self.inode = file.metadata()?.ino();
        let mut last = VecDeque::new();
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            self.position += line.len() as u64;
            last.push_back(std::mem::take(&mut line));
            if last.len() > lines {
                last.pop_front();
            }
        }
        self.print(last.into_iter())
    }

    fn print_new(&mut self) -> anyhow::Result<()> {
        let Some(mut file) = open_if_there(&self.path)? else {
            return Ok(());
        };
        let metadata = file.metadata()?;
        if metadata.ino() != self.inode || metadata.len() < self.position {
            // The log was set aside, and a new one begun.
            (self.inode, self.position) = (metadata.ino(), 0);
        }
        if metadata.len() == self.position {
            return Ok(());
        }
        file.seek(SeekFrom::Start(self.position))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        // A line that is not whole yet is printed when it is.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.position += whole as u64;
        let lines: Vec<Vec<u8>> = text[..whole]
            .split_inclusive(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        self.print(lines.into_iter())
    }

    fn print(&self, lines: impl Iterator<Item = Vec<u8>>) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        for line in lines {
            out.write_all(self.prefix.as_bytes())?;
            out.write_all(&line)?;
            if !line.ends_with(b"\n") {
                out.write_all(b"\n")?;
            }
        }
        Ok(out.flush()?)
    }
}

fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
