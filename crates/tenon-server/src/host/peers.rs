//! `invoke-all`, and `invoke` with a server's name: services of the other servers of the cluster, over the control protocol.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use tenon_control::{Addresses, ControlClient, ControlError, ControlSettings, Identity};
use tenon_model::{Member, MemberState, Role};
use tenon_protocol::control::{RelayInvoke, RelayRequest, ServicePath};
use tenon_store::Store;
use tokio::time::Instant;

use super::invoke::deadline_of;
use super::{Host, HostFailure, HostResult, needed};
use crate::call::{HostCall, HostReturn};

/// How long the answer of another server is waited for beyond the call's own deadline, so that it is that server that says so.
const GRACE: Duration = Duration::from_millis(250);

impl Host {
    /// A service on every server that takes work; what each answered, by the server's name.
    pub(super) async fn invoke_all(&self, call: HostCall) -> HostResult {
        let service = needed(&call.request, "service")?.to_owned();
        let relayed = Relayed::of(&call, service.clone(), deadline_of(&call));
        let servers = self.peers.servers().await?;
        let calls = servers.iter().map(|server| {
            let (name, relayed, mut here) = (server.name.clone(), &relayed, call.clone());
            async move {
                let result = if name == self.peers.own_name() {
                    here.request.insert("server".to_owned(), Value::String(name.clone()));
                    self.invoke(here).await
                } else {
                    self.peers.invoke(&name, relayed).await
                };
                (name, outcome(result))
            }
        });
        let outcomes: Map<String, Value> = join_all(calls).await.into_iter().collect();
        Ok(HostReturn {
            code: 0,
            tail: json!({ "is_json": true }),
            body_is_json: true,
            body: Bytes::from(Value::Object(outcomes).to_string()),
        })
    }
}

fn outcome(result: HostResult) -> Value {
    let failed = |error: String| json!({ "is_ok": false, "data": null, "error": error });
    match result {
        Ok(answer) => {
            let json = answer
                .body_is_json
                .then(|| serde_json::from_slice(&answer.body).ok())
                .flatten();
            let data: Value = match json {
                Some(data) => data,
                None if answer.body.is_empty() => Value::Null,
                None => Value::String(String::from_utf8_lossy(&answer.body).into_owned()),
            };
            match answer.tail.get("status").and_then(Value::as_u64) {
                Some(status) if status >= 400 => failed(format!("the service answered with status {status}: {data}")),
                _ => json!({ "is_ok": true, "data": data, "error": "" }),
            }
        }
        Err(error) => failed(error.message),
    }
}

/// A call as another server gets it.
pub(super) struct Relayed {
    service: String,
    request: RelayRequest,
    deadline: Instant,
}

impl Relayed {
    /// What a service asks of a service that may be on another server.
    pub(super) fn of(call: &HostCall, service: String, deadline: Instant) -> Self {
        Self {
            service,
            request: RelayRequest {
                cid: call.cid.as_str().to_owned(),
                by: call.service.clone(),
                depth: call.depth + 1,
                timeout_ms: 0,
                body: STANDARD.encode(&call.body),
                is_json: call.body_is_json,
            },
            deadline,
        }
    }
}

/// The other servers of the cluster.
pub(super) struct Peers {
    name: String,
    store: Store,
    identity: Identity,
    settings: ControlSettings,
    /// By control address.
    clients: Mutex<HashMap<String, ControlClient>>,
}

impl Peers {
    /// Those that the store knows, called under this certificate.
    pub(super) fn new(name: String, store: Store, identity: Identity, settings: ControlSettings) -> Self {
        Self {
            name,
            store,
            identity,
            settings,
            clients: Mutex::default(),
        }
    }

    /// This server's name.
    pub(super) fn own_name(&self) -> &str {
        &self.name
    }

    /// The servers that take work, this one among them.
    async fn servers(&self) -> Result<Vec<Member>, HostFailure> {
        let members = self.store.members().await?;
        let is_there = |member: &Member| member.role == Role::Server && member.state == MemberState::Ready;
        Ok(members.into_iter().filter(is_there).collect())
    }

    /// Calls a service on another server.
    pub(super) async fn invoke(&self, server: &str, relayed: &Relayed) -> HostResult {
        let found = self.servers().await?.into_iter().find(|member| member.name == server);
        let address = found.and_then(|member| member.control_address);
        let address = address.ok_or_else(|| {
            HostFailure::new(
                404,
                "NotFound",
                format!("no server that takes work is called '{server}'"),
            )
        })?;
        let left = relayed.deadline.saturating_duration_since(Instant::now());
        let request = RelayRequest {
            timeout_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            ..relayed.request.clone()
        };
        let path = ServicePath {
            name: relayed.service.clone(),
        };
        let client = self.client(&address)?;
        let reply = client.call_within::<RelayInvoke>(&path, &request, left + GRACE).await;
        let reply = reply.map_err(|error| failure(server, &error))?;
        if reply.code != 0 {
            return Err(HostFailure::new(reply.code, reply.kind, reply.error));
        }
        let unreadable = |_| HostFailure::new(502, "Failed", format!("{server}: the answer is not in base64"));
        let body = STANDARD.decode(&reply.body).map_err(unreadable)?;
        Ok(HostReturn {
            code: 0,
            tail: json!({
                "status": reply.status,
                "content_type": reply.content_type,
                "is_json": reply.is_json,
            }),
            body_is_json: reply.is_json,
            body: body.into(),
        })
    }

    fn client(&self, address: &str) -> Result<ControlClient, HostFailure> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(address) {
            return Ok(client.clone());
        }
        let addresses = Addresses::new(vec![address.to_owned()]);
        let client = ControlClient::new(&self.identity, Role::Server, addresses, self.settings.clone())
            .map_err(|error| HostFailure::new(503, "ServiceUnavailable", error.to_string()))?;
        clients.insert(address.to_owned(), client.clone());
        Ok(client)
    }
}

fn failure(server: &str, error: &ControlError) -> HostFailure {
    let (code, kind) = match error {
        ControlError::Unreachable { .. } => (503, "ServiceUnavailable"),
        ControlError::Problem(problem) if problem.status == 503 => (503, "ServiceUnavailable"),
        _ => (502, "Failed"),
    };
    HostFailure::new(code, kind, format!("{server}: {error}"))
}
