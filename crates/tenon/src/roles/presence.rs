//! The heartbeat of a component, to the store or, for those that know no store, to any server: by it the cluster knows that
//! it lives.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use async_trait::async_trait;
use tenon_control::{Addresses, ControlClient, ControlSettings, Identity, IdentityError};
use tenon_model::{Member, MemberState, Revision, Role, Timestamp};
use tenon_protocol::control::{AnnounceMember, MemberPath};
use tenon_store::{Store, StoreError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::RoleContext;
use crate::supervisor::process;

/// How often a component says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How often a component looks whether it is still as it said.
const LOOK: Duration = Duration::from_millis(100);

/// How long a server may take to pass a heartbeat on.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(1);

/// Who is told that a component lives.
#[async_trait]
pub(super) trait Listener: Send + Sync {
    /// What went wrong when it could not be told.
    type Error: std::fmt::Display + Send;

    /// Tells it how the component is.
    async fn hear(&self, member: Member) -> Result<(), Self::Error>;
}

#[async_trait]
impl Listener for Store {
    type Error = StoreError;

    async fn hear(&self, member: Member) -> Result<(), StoreError> {
        self.heartbeat(member).await.map(drop)
    }
}

/// The servers of the cluster, any of which passes a heartbeat on: the one that did so last, or else the next.
pub(super) struct Servers {
    identity: Identity,
    control: ControlSettings,
    addresses: Addresses,
    /// A client for each address that was used, the last one that answered in front.
    clients: tokio::sync::Mutex<Vec<(String, ControlClient)>>,
}

impl Servers {
    /// The servers at these addresses, which may change at any time.
    pub(super) fn of(context: &RoleContext, addresses: Addresses, control: &ControlSettings) -> Self {
        Self {
            identity: context.identity.clone(),
            control: control.clone(),
            addresses,
            clients: tokio::sync::Mutex::default(),
        }
    }

    /// Makes clients for servers that are new, and lets go of those that are gone.
    fn refresh(&self, clients: &mut Vec<(String, ControlClient)>) -> Result<(), IdentityError> {
        let addresses = self.addresses.get();
        clients.retain(|(known, _)| addresses.contains(known));
        for address in addresses.iter() {
            if !clients.iter().any(|(known, _)| known == address) {
                let one = Addresses::new(vec![address.clone()]);
                let client = ControlClient::new(&self.identity, Role::Server, one, self.control.clone())?;
                clients.push((address.clone(), client));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Listener for Servers {
    type Error = anyhow::Error;

    async fn hear(&self, member: Member) -> anyhow::Result<()> {
        let path = MemberPath {
            name: member.name.clone(),
        };
        let mut clients = self.clients.lock().await;
        self.refresh(&mut clients)?;
        let mut result = Err(anyhow!("no server is known"));
        for index in 0..clients.len() {
            let told = clients[index]
                .1
                .call_within::<AnnounceMember>(&path, &member, ANNOUNCED_WITHIN);
            match told.await {
                Ok(_) => {
                    clients[..=index].rotate_right(1);
                    return Ok(());
                }
                // A heartbeat that is told twice is no harm, so one that may have arrived is told to the next server too.
                Err(error) => result = Err(error.into()),
            }
        }
        result
    }
}

/// Says each second, and whenever it changes, that the component lives and how it is, until `stop`; then, that it has stopped.
/// `reason` is why it is not ready, empty if it is.
pub(super) async fn keep(
    context: &RoleContext,
    listener: impl Listener,
    reason: Arc<dyn Fn() -> String + Send + Sync>,
    stop: CancellationToken,
) {
    let started_at = context.clock.now();
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut heard = true;
    let mut said: Option<(String, Instant)> = None;
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        let reason = reason();
        if said
            .as_ref()
            .is_some_and(|(before, at)| *before == reason && at.elapsed() < HEARTBEAT)
        {
            continue;
        }
        said = Some((reason.clone(), Instant::now()));
        let state = if reason.is_empty() {
            MemberState::Ready
        } else {
            MemberState::NotReady
        };
        let told = listener.hear(member(context, started_at, state, reason));
        let Some(told) = stop.run_until_cancelled(told).await else {
            break;
        };
        match told {
            Ok(()) => heard = true,
            Err(error) => {
                if heard {
                    tracing::warn!(%error, "the cluster does not hear that {} lives", context.settings.name);
                }
                heard = false;
            }
        }
    }
    let last = member(
        context,
        started_at,
        MemberState::Stopped,
        "it was told to stop".to_owned(),
    );
    if let Ok(Err(error)) = tokio::time::timeout(HEARTBEAT, listener.hear(last)).await {
        tracing::debug!(%error, "the cluster does not hear that {} has stopped", context.settings.name);
    }
}

fn member(context: &RoleContext, started_at: Timestamp, state: MemberState, reason: String) -> Member {
    let settings = &context.settings;
    let pid = std::process::id();
    Member {
        name: settings.name.clone(),
        role: settings.role,
        instance: context.instance.clone(),
        pid,
        state,
        reason,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        address: settings.address().map(|address| address.to_string()),
        data_socket: None,
        control_address: settings.control_address().map(|address| address.to_string()),
        started_at,
        memory_bytes: process::facts(pid).1.unwrap_or(0),
        revision: Revision(0),
        deployment: 0,
        seen_at: started_at,
    }
}
