//! What services log through `tracing`, as lines of the server's log with the correlation id of the call.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tenon_protocol::worker::{LogLine, Message};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context as LayerContext;

use crate::context::CURRENT;
use crate::link::{Link, lock};

/// How long a line may be; the rest is cut off.
const LINE_BYTES_MAX: usize = 8 << 10;

/// Of more lines within a second the rest is dropped and counted.
const LINES_PER_SECOND: u32 = 2_000;

/// A layer of `tracing` that sends events to the server. [`Worker::run`](crate::Worker::run) installs one by itself, unless told
/// otherwise with [`Worker::without_logs`](crate::Worker::without_logs).
///
/// Events of a call carry its correlation id and the service's name; the target is the logger's name.
#[derive(Debug, Default)]
pub struct LogLayer {
    level: Option<Level>,
    /// Where lines go that belong to no call.
    fallback: Option<Arc<Link>>,
    budget: Mutex<Budget>,
}

#[derive(Debug, Default)]
struct Budget {
    second: Option<Instant>,
    lines: u32,
    dropped: u64,
}

impl LogLayer {
    /// A layer for events of a level and the more important ones. Events outside of calls are left out.
    pub fn new(level: Level) -> Self {
        Self {
            level: Some(level),
            ..Self::default()
        }
    }

    pub(crate) fn with_fallback(level: Level, link: Arc<Link>) -> Self {
        Self {
            fallback: Some(link),
            ..Self::new(level)
        }
    }

    /// Whether one more line may be sent, and how many were dropped before it.
    fn take(&self) -> Option<u64> {
        let now = Instant::now();
        let mut budget = lock(&self.budget);
        let is_new = budget
            .second
            .is_none_or(|second| now.duration_since(second) >= Duration::from_secs(1));
        if is_new {
            budget.second = Some(now);
            budget.lines = 0;
        }
        if budget.lines >= LINES_PER_SECOND {
            budget.dropped += 1;
            return None;
        }
        budget.lines += 1;
        Some(std::mem::take(&mut budget.dropped))
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: LayerContext<'_, S>) {
        // Not by `enabled`, which would speak for the other layers of a program as well.
        if self.level.is_some_and(|level| *event.metadata().level() > level) {
            return;
        }
        let Some(dropped) = self.take() else {
            return;
        };
        let mut text = Text::default();
        event.record(&mut text);
        let mut message = text.finish();
        if dropped > 0 {
            let _ = write!(message, " ({dropped} lines before this one were dropped)");
        }
        let mut line = LogLine {
            level: level_name(*event.metadata().level()).to_owned(),
            logger: event.metadata().target().to_owned(),
            message,
            cid: None,
            service: None,
        };
        let link = CURRENT.try_with(|context| {
            line.cid = Some(context.cid().to_owned());
            line.service = Some(context.service().to_owned());
            context.call().link.clone()
        });
        if let Some(link) = link.ok().or_else(|| self.fallback.clone()) {
            // A line is far shorter than a frame may be.
            let _ = link.push(&Message::Log(line).into_frame());
        }
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    }
}

/// The message with the fields behind it.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn finish(mut self) -> String {
        self.message.push_str(&self.fields);
        if self.message.len() > LINE_BYTES_MAX {
            let cut = self.message.len() - LINE_BYTES_MAX;
            self.message.truncate(self.message.floor_char_boundary(LINE_BYTES_MAX));
            let _ = write!(self.message, "… ({cut} bytes more)");
        }
        self.message
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            let _ = write!(self.fields, " {}={value}", field.name());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
        if written.is_err() {
            self.fields.push_str(" (a field that can't be shown)");
        }
    }
}
