//! Which server a call goes to, and what happens when it does not answer.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::{Method, Request, Response, StatusCode};
use tenon_control::{Addresses, ControlClient, ControlError, ControlSettings, Identity};
use tenon_model::Role;

/// Servers of the cluster, as one: whoever answers.
#[async_trait]
pub trait Servers: Send + Sync + Debug + 'static {
    /// Sends a request (its URI a path with query) to a server and returns whatever it answers.
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, GatewayError>;
}

/// Why a call got no answer of a server.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// No server could be reached; nothing was done.
    #[error("none of the cluster's {known} servers answers")]
    NoServer {
        /// How many servers are known.
        known: usize,
    },
    /// The server was lost after the call was sent: it may have been done.
    #[error("the server was lost before its answer came")]
    Unknown(#[source] ControlError),
}

/// One server at an address; apart from [`ControlServers`] so that fail-over can be tested without certificates.
#[async_trait]
pub(crate) trait Caller: Send + Sync + 'static {
    async fn call(&self, address: &str, request: Request<Bytes>) -> Result<Response<Bytes>, ControlError>;
}

/// The servers behind their control addresses, over mutual TLS.
///
/// Calls go to the server that answered last. A call that could not be sent goes on to the next one. A reading call (GET) that
/// takes long or is answered with 503 is sent to the next one too, and the first good answer counts: a server that hangs
/// does not make the dashboard hang.
pub struct ControlServers {
    addresses: Addresses,
    caller: Arc<dyn Caller>,
    hedge_after: Duration,
    last_good: Mutex<Option<String>>,
}

impl Debug for ControlServers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlServers")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl ControlServers {
    /// The servers at these addresses, called with the dashboard's certificate. The addresses may change at any time.
    pub fn new(identity: Identity, addresses: Addresses, control: ControlSettings, settings: &crate::Settings) -> Self {
        let clients = Clients {
            identity,
            settings: control,
            known: Mutex::default(),
        };
        Self::with_caller(Arc::new(clients), addresses, settings.hedge_after.0)
    }

    pub(crate) fn with_caller(caller: Arc<dyn Caller>, addresses: Addresses, hedge_after: Duration) -> Self {
        Self {
            addresses,
            caller,
            hedge_after,
            last_good: Mutex::default(),
        }
    }

    /// The addresses in the order in which they are tried.
    fn order(&self) -> Vec<String> {
        let mut addresses = self.addresses.get().to_vec();
        let last_good = self.last_good.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(first) = addresses.iter().position(|address| Some(address) == last_good.as_ref()) {
            addresses.rotate_left(first);
        }
        addresses
    }

    fn answered(&self, address: &str) {
        let mut last_good = self.last_good.lock().unwrap_or_else(PoisonError::into_inner);
        if last_good.as_deref() != Some(address) {
            *last_good = Some(address.to_owned());
        }
    }

    /// A call that changes something: on to the next server only while nothing was sent.
    async fn write(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, GatewayError> {
        let addresses = self.order();
        for address in &addresses {
            match self.caller.call(address, request.clone()).await {
                Ok(response) => {
                    self.answered(address);
                    return Ok(response);
                }
                Err(ControlError::Unreachable { .. } | ControlError::Identity(_)) => {}
                Err(error) => return Err(GatewayError::Unknown(error)),
            }
        }
        Err(GatewayError::NoServer { known: addresses.len() })
    }

    /// A call that only reads: asked of one server after the other until one answers well.
    async fn read(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, GatewayError> {
        let addresses = self.order();
        let ask = |address: String| async move {
            let answer = self.caller.call(&address, request.clone()).await;
            (address, answer)
        };
        let mut waiting = addresses.iter().cloned();
        let mut asked = FuturesUnordered::new();
        asked.extend(waiting.next().map(ask));
        let mut not_ready = None;
        while !asked.is_empty() {
            tokio::select! {
                Some((address, answer)) = asked.next() => match answer {
                    Ok(response) if response.status() != StatusCode::SERVICE_UNAVAILABLE => {
                        self.answered(&address);
                        return Ok(response);
                    }
                    Ok(response) => not_ready = Some(response),
                    Err(_) => {}
                },
                () = tokio::time::sleep(self.hedge_after), if waiting.len() > 0 => {}
            }
            asked.extend(waiting.next().map(ask));
        }
        not_ready.ok_or(GatewayError::NoServer { known: addresses.len() })
    }
}

#[async_trait]
impl Servers for ControlServers {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, GatewayError> {
        if request.method() == Method::GET {
            self.read(&request).await
        } else {
            self.write(&request).await
        }
    }
}

/// A client for each address, made when it is first called.
struct Clients {
    identity: Identity,
    settings: ControlSettings,
    known: Mutex<HashMap<String, ControlClient>>,
}

impl Clients {
    fn of(&self, address: &str) -> Result<ControlClient, ControlError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = known.get(address) {
            return Ok(client.clone());
        }
        let only = Addresses::new(vec![address.to_owned()]);
        let client = ControlClient::new(&self.identity, Role::Server, only, self.settings.clone())?;
        known.insert(address.to_owned(), client.clone());
        Ok(client)
    }
}

#[async_trait]
impl Caller for Clients {
    async fn call(&self, address: &str, request: Request<Bytes>) -> Result<Response<Bytes>, ControlError> {
        self.of(address)?.forward(request).await
    }
}
