//! The engine that keeps everything in one SQLite file.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tenon_model::Clock;
use tokio::sync::{broadcast, watch};

use crate::engine::{Call, Engine, Event, Reply};
use crate::error::StoreError;
use crate::settings::SqliteSettings;

/// An engine on `state.db` of a directory. At most one process, and one engine in it, has the directory open.
#[derive(Debug)]
pub struct SqliteEngine {
    events: broadcast::Sender<Event>,
    connected: watch::Sender<bool>,
}

impl SqliteEngine {
    /// Opens the directory, which must exist, and makes the file if there is none. Blocks.
    pub fn open(dir: &Path, settings: SqliteSettings, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let _ = (dir, clock);
        Ok(Self {
            events: broadcast::channel(settings.events_max).0,
            connected: watch::channel(true).0,
        })
    }
}

#[async_trait]
impl Engine for SqliteEngine {
    async fn execute(&self, _call: Call) -> Result<Reply, StoreError> {
        Err(StoreError::Storage("not written yet".to_owned()))
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    fn connected(&self) -> watch::Receiver<bool> {
        self.connected.subscribe()
    }
}
