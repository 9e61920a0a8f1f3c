//! The engine that asks the process which has the files open.

use std::path::Path;

use async_trait::async_trait;
use tenon_model::InstanceId;
use tokio::sync::{broadcast, watch};

use crate::engine::{Call, Engine, Event, Reply};
use crate::error::StoreError;
use crate::settings::ClientSettings;

/// A client of the store's socket: connects again when the connection is lost, and repeats what was not answered.
#[derive(Debug)]
pub struct RemoteEngine {
    events: broadcast::Sender<Event>,
    connected: watch::Sender<bool>,
}

impl RemoteEngine {
    /// A client of this socket, under this name. Connects in the background, on the runtime that this is called on.
    pub fn connect(socket: &Path, settings: ClientSettings, name: &str, instance: InstanceId) -> Self {
        let _ = (socket, name, instance);
        Self {
            events: broadcast::channel(settings.events_max).0,
            connected: watch::channel(false).0,
        }
    }
}

#[async_trait]
impl Engine for RemoteEngine {
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
