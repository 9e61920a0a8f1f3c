//! A worker: the services of a program, and how they run.

use std::any::{Any, TypeId};
use std::collections::HashSet;
use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tracing::Level;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::link::Link;
use crate::logs::LogLayer;
use crate::panics;
use crate::process::{self, Options};
use crate::service::{Entry, Handler};
use crate::session::{Ended, Session, Shared, limits};

/// The program was started in a way that can't work.
const EXIT_USAGE: u8 = 64;
/// The server and this worker don't understand each other.
const EXIT_PROTOCOL: u8 = 76;
/// The operating system refused something.
const EXIT_SYSTEM: u8 = 71;

/// Threads for code that blocks, if the program does not say how many.
const BLOCKING_THREADS: usize = 64;

/// The services of a program. `main` makes one and runs it:
///
/// ```no_run
/// use std::process::ExitCode;
/// use tenon_sdk::{Context, Error, Worker};
///
/// async fn greet(_: Context, name: String) -> Result<String, Error> {
///     Ok(format!("Hello {name}"))
/// }
///
/// fn main() -> ExitCode {
///     Worker::new().service("demo.greet", greet).run()
/// }
/// ```
///
/// All handlers run on one thread, as tasks: they may wait for whatever they like with `.await`, and what blocks or computes for
/// long belongs into [`Service::blocking`](crate::Service::blocking) or [`Context::spawn_blocking`](crate::Context::spawn_blocking).
/// A group has several workers, so that every core has its share; [`Worker::threads`] is for services that share a large state.
pub struct Worker {
    services: Vec<Entry>,
    shared: Shared,
    threads: usize,
    blocking_threads: usize,
    level: Option<Level>,
}

impl Worker {
    /// A worker without services.
    pub fn new() -> Self {
        Self {
            services: Vec::new(),
            shared: Shared::new(),
            threads: 1,
            blocking_threads: BLOCKING_THREADS,
            level: Some(Level::INFO),
        }
    }

    /// Adds a service: a name, and an async function or a [`Service`](crate::Service).
    #[must_use]
    pub fn service<M>(mut self, name: impl Into<String>, handler: impl Handler<M>) -> Self {
        self.services.push(Entry::new(name.into(), handler.into_service()));
        self
    }

    /// Gives all handlers a value, by its type: a client, a parsed file, a pool. They find it with
    /// [`Context::shared`](crate::Context::shared). It lives in this process only, of which a group has several on each server.
    #[must_use]
    pub fn share<T: Any + Send + Sync>(mut self, value: T) -> Self {
        self.shared.insert(TypeId::of::<T>(), Arc::new(value));
        self
    }

    /// How many threads run the handlers; 1 if nothing is said, and that is the cheapest.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// How many threads there may be for code that blocks; 64 if nothing is said.
    #[must_use]
    pub fn blocking_threads(mut self, threads: usize) -> Self {
        self.blocking_threads = threads.max(1);
        self
    }

    /// Which events of `tracing` go to the server's log: those of this level and the more important ones. Informational ones if
    /// nothing is said.
    #[must_use]
    pub fn log_level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    /// Installs no subscriber of `tracing`: the program installs its own, and may make a [`LogLayer`](crate::LogLayer) part of it.
    #[must_use]
    pub fn without_logs(mut self) -> Self {
        self.level = None;
        self
    }

    /// Runs the services until the server asks for the end. What it gives is for `main` to return.
    ///
    /// The server starts the program and tells it where the connection is. Started by hand it explains itself; with `--describe` it
    /// prints what the server would be told of its services.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match self.try_run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failed { code, message }) => {
                let _ = writeln!(std::io::stderr(), "tenon worker: {message}");
                ExitCode::from(code)
            }
        }
    }

    fn try_run(self) -> Result<(), Failed> {
        let options = Options::parse(std::env::args_os().skip(1)).map_err(Failed::usage)?;
        self.check().map_err(Failed::usage)?;
        if options.describe {
            return self.describe();
        }
        let Some(socket) = process::inherited_socket().map_err(Failed::usage)? else {
            let name = program_name();
            return Err(Failed::usage(format!(
                "this program has services for a Tenon server, which starts it: tenon deploy PATH/{name}\n\
                 Its services, as the server sees them: {name} --describe"
            )));
        };
        process::watch_owner()?;
        panics::install_hook();
        let runtime = self.runtime()?;
        let ended = runtime.block_on(self.serve(socket, &options));
        // Code that blocks is not waited for: nobody waits for its answer.
        runtime.shutdown_background();
        match ended? {
            Ended::Closed | Ended::Drained => Ok(()),
            Ended::Violated(violation) => Err(Failed {
                code: EXIT_PROTOCOL,
                message: format!("the connection to the server broke the protocol: {violation}"),
            }),
        }
    }

    async fn serve(self, socket: std::os::unix::net::UnixStream, options: &Options) -> std::io::Result<Ended> {
        let link = Link::new(limits(options.body_bytes_max));
        if let Some(level) = self.level {
            let layer = LogLayer::with_fallback(level, link.clone());
            // A program that installed a subscriber of its own keeps it.
            let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer));
        }
        if cfg!(panic = "abort") {
            tracing::warn!("built with panic = \"abort\": a panic in a handler ends the worker with all that it runs");
        }
        let threads = self.blocking_threads;
        let session = self.open(link, UnixStream::from_std(socket)?);
        let beside = session.clone();
        std::thread::Builder::new()
            .name("tenon-stand-in".to_owned())
            .spawn(move || beside.stand_in())?;
        let hello = session.hello(threads, &program_name());
        Ok(session.serve(hello).await)
    }

    /// A session on a socket, within the runtime that is to run the handlers.
    pub(crate) fn open(self, link: Arc<Link>, socket: UnixStream) -> Arc<Session> {
        let entries = self.services.into_iter().map(Arc::new).collect();
        Session::new(link, entries, Arc::new(self.shared), socket)
    }

    fn runtime(&self) -> std::io::Result<Runtime> {
        let mut builder = if self.threads == 1 {
            Builder::new_current_thread()
        } else {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(self.threads);
            builder
        };
        builder
            .enable_all()
            .max_blocking_threads(self.blocking_threads)
            .thread_name("tenon-worker")
            .build()
    }

    fn describe(self) -> Result<(), Failed> {
        let entries: Vec<_> = self.services.into_iter().map(Arc::new).collect();
        let file = program_name();
        let services: Vec<_> = entries.iter().map(|entry| entry.describe(&file)).collect();
        let text = serde_json::to_string_pretty(&services).map_err(std::io::Error::from)?;
        writeln!(std::io::stdout(), "{text}")?;
        Ok(())
    }

    /// What is wrong with the services' names.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut names = HashSet::new();
        for entry in &self.services {
            if entry.name.is_empty() {
                return Err("a service has an empty name".to_owned());
            }
            if !names.insert(&entry.name) {
                return Err(format!("two services are called '{}'", entry.name));
            }
        }
        Ok(())
    }
}

impl Default for Worker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.services.iter().map(|entry| &entry.name).collect();
        f.debug_struct("Worker")
            .field("services", &names)
            .finish_non_exhaustive()
    }
}

/// Why a worker did not run.
struct Failed {
    code: u8,
    message: String,
}

impl Failed {
    fn usage(message: impl Into<String>) -> Self {
        Self {
            code: EXIT_USAGE,
            message: message.into(),
        }
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self {
            code: EXIT_SYSTEM,
            message: error.to_string(),
        }
    }
}

fn program_name() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
