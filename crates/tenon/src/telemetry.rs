//! Logs: text or JSON, to a file that is set aside when it is large, or to standard error.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::environment::settings::{LogFormat, LogSettings, LogTarget};

/// Begins to log as the settings say. `TENON_LOG` overrides the level; `TENON_LOG_TO=stderr` and `to_stderr` where it goes.
pub(crate) fn init(settings: &LogSettings, file: &Path, to_stderr: bool) -> anyhow::Result<()> {
    let level = std::env::var("TENON_LOG").unwrap_or_else(|_| settings.level.clone());
    let filter = EnvFilter::try_new(&level).with_context(|| format!("'{level}' is not a level and not a filter"))?;
    let asked = std::env::var_os("TENON_LOG_TO").is_some_and(|target| target == "stderr");
    let to_stderr = to_stderr || asked || settings.to == LogTarget::Stderr;
    let writer = if to_stderr {
        BoxMakeWriter::new(io::stderr)
    } else {
        BoxMakeWriter::new(LogFile::open(file, settings)?)
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        // They would go to standard error, which is the same full disk, and panic when that fails.
        .log_internal_errors(false)
        .with_ansi(false);
    let started = match settings.format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logging can't be started: {error}"))?;
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(%backtrace, "a defect of Tenon: {panic}");
    }));
    Ok(())
}

/// A log file that is set aside when it is large: `x.log` becomes `x.log.1`, and so on.
///
/// The process's own output goes there too, so that nothing that anybody prints is lost, also after the file was set aside.
/// Lines that can't be written, for the disk is full, are left out: a component does its work without a log. The next line that
/// can be written is preceded by how many are missing.
#[derive(Debug, Clone)]
struct LogFile(Arc<Mutex<Open>>);

#[derive(Debug)]
struct Open {
    path: PathBuf,
    file: File,
    size_bytes: u64,
    size_bytes_max: u64,
    files_max: u32,
    format: LogFormat,
    missing: u64,
}

impl LogFile {
    fn open(path: &Path, settings: &LogSettings) -> anyhow::Result<Self> {
        let open = || {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let file = append_to(path)?;
            let size_bytes = file.metadata()?.len();
            redirect_output(&file)?;
            Ok::<_, io::Error>(Open {
                path: path.to_owned(),
                file,
                size_bytes,
                size_bytes_max: settings.size_bytes_max.max(1),
                files_max: settings.files_max,
                format: settings.format,
                missing: 0,
            })
        };
        let open = open().with_context(|| format!("can't open the log {}", path.display()))?;
        Ok(Self(Arc::new(Mutex::new(open))))
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(path)
}

fn redirect_output(file: &File) -> io::Result<()> {
    rustix::stdio::dup2_stdout(file)?;
    rustix::stdio::dup2_stderr(file)?;
    Ok(())
}

impl Open {
    /// Sets the file aside and begins a new one.
    fn turn(&mut self) -> io::Result<()> {
        let aside = |number: u32| PathBuf::from(format!("{}.{number}", self.path.display()));
        for number in (1..self.files_max).rev() {
            let from = aside(number);
            if from.exists() {
                std::fs::rename(from, aside(number + 1))?;
            }
        }
        if self.files_max > 0 {
            std::fs::rename(&self.path, aside(1))?;
        } else {
            std::fs::remove_file(&self.path)?;
        }
        self.file = append_to(&self.path)?;
        self.size_bytes = 0;
        redirect_output(&self.file)
    }

    fn append(&mut self, line: &[u8]) {
        let written = match self.missing {
            0 => self.file.write_all(line),
            missing => {
                let note = note_of_missing(self.format, missing);
                self.file.write_all(&[note.as_bytes(), line].concat())
            }
        };
        match written {
            Ok(()) => {
                self.missing = 0;
                self.size_bytes += line.len() as u64;
            }
            Err(_) => self.missing += 1,
        }
    }
}

/// Begins with an end of line, because a part of a line that is missing may have been written.
fn note_of_missing(format: LogFormat, missing: u64) -> String {
    match format {
        LogFormat::Text => {
            format!("\n WARN tenon::telemetry: {missing} lines are missing here, they could not be written\n")
        }
        LogFormat::Json => format!(
            "\n{{\"level\":\"WARN\",\"target\":\"tenon::telemetry\",\"message\":\"{missing} lines are missing here, they could not be written\"}}\n"
        ),
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.size_bytes >= open.size_bytes_max {
            // A log that can't be turned goes on growing: better than none.
            let _ = open.turn();
        }
        open.append(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = LogFile;

    fn make_writer(&'a self) -> LogFile {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_into(path: &Path) -> LogFile {
        let open = Open {
            path: path.to_owned(),
            file: append_to(path).unwrap(),
            size_bytes: 0,
            size_bytes_max: 1_000_000,
            files_max: 2,
            format: LogFormat::Text,
            missing: 0,
        };
        LogFile(Arc::new(Mutex::new(open)))
    }

    #[test]
    fn a_full_disk_costs_lines_of_the_log_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = log_into(Path::new("/dev/full"));
        log.write_all(b"one\n").unwrap();
        log.write_all(b"two\n").unwrap();
        let path = folder.path().join("x.log");
        log.0.lock().unwrap().file = append_to(&path).unwrap();
        log.write_all(b"three\n").unwrap();
        log.write_all(b"four\n").unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].contains("2 lines are missing"), "{text}");
        assert_eq!(lines[1..], ["three", "four"]);
    }
}
