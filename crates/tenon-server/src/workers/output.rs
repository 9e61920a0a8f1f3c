//! What workers print, as lines of the log.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

use super::settings::WorkerSettings;

/// How many lines are remembered to say why a worker did not start.
const LAST_LINES_MAX: usize = 60;

/// The last lines that a worker printed.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastLines(Arc<Mutex<VecDeque<String>>>);

impl LastLines {
    pub(crate) fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn push(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LAST_LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Error,
}

/// Reads until the worker closes its end. Too many lines in a second are counted instead of logged; they are read all the
/// same, so that the worker never waits for the log.
pub(crate) async fn log_output(
    mut pipe: impl AsyncRead + Unpin,
    stream: Stream,
    worker: String,
    last: LastLines,
    settings: WorkerSettings,
) {
    let mut lines = Lines {
        stream,
        worker,
        last,
        line_bytes: settings.output_line_bytes.max(80),
        budget_max: settings.output_lines_per_second,
        budget: settings.output_lines_per_second,
        second: Instant::now(),
        dropped: 0,
        line: Vec::new(),
        cut: false,
    };
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read) = pipe.read(&mut buffer).await {
        if read == 0 {
            break;
        }
        lines.feed(&buffer[..read]);
    }
    lines.end_line();
    lines.tell_dropped();
}

struct Lines {
    stream: Stream,
    worker: String,
    last: LastLines,
    line_bytes: usize,
    budget_max: u32,
    budget: u32,
    second: Instant,
    dropped: u64,
    line: Vec<u8>,
    cut: bool,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            let room = self.line_bytes.saturating_sub(self.line.len());
            self.cut |= text.len() > room;
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if ended {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        if self.line.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(&self.line);
        let text = text.trim_end();
        let worker = &self.worker;
        self.last.push(text);
        if self.second.elapsed() >= Duration::from_secs(1) {
            self.second = Instant::now();
            self.budget = self.budget_max;
            if self.dropped > 0 {
                tracing::warn!(%worker, lines = self.dropped, "the worker printed more lines than the log takes");
                self.dropped = 0;
            }
        }
        if self.budget == 0 {
            self.dropped += 1;
        } else {
            self.budget -= 1;
            let more = if self.cut { " [cut]" } else { "" };
            match self.stream {
                Stream::Out => tracing::info!(target: "tenon::service", %worker, "{text}{more}"),
                Stream::Error => tracing::warn!(target: "tenon::service", %worker, "{text}{more}"),
            }
        }
        self.line.clear();
        self.cut = false;
    }

    fn tell_dropped(&self) {
        if self.dropped > 0 {
            tracing::warn!(worker = %self.worker, lines = self.dropped, "the worker printed more lines than the log takes");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_flood_without_line_ends_stays_small() {
        let last = LastLines::default();
        let settings = WorkerSettings {
            output_line_bytes: 100,
            ..WorkerSettings::default()
        };
        let flood = [b"first\n".as_slice(), &vec![b'x'; 3 << 20], b"\nlast"].concat();
        log_output(flood.as_slice(), Stream::Out, "w".to_owned(), last.clone(), settings).await;
        let text = last.text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!((lines[0], lines[1].len(), lines[2]), ("first", 100, "last"));
    }
}
