//! Learns the servers from the cluster and keeps those known last on disk. Does not judge whether a server answers.

mod file;
mod poll;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tenon_model::{Member, MemberState, Role};
use tenon_protocol::control::MembersReply;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use file::{keep, keep_text, load};
pub(crate) use poll::{Followed, poll};

use crate::settings::Settings;
use crate::upstream::{Endpoint, Server, ServerState, Upstreams};

/// Why members could not be learnt; only ever logged.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Where the follower learns the members of the cluster from; the binary asks any server's control address.
#[async_trait]
pub trait MemberSource: Send + Sync + 'static {
    /// The members; with `after`, the `cursor` of the last reply, waits a while for them to differ from those.
    async fn members(&self, after: Option<u64>) -> Result<MembersReply, SourceError>;
}

/// Keeps the list of servers up to date.
pub struct Follower {
    source: Arc<dyn MemberSource>,
    path: PathBuf,
    sockets: PathBuf,
    timeout: Duration,
    sender: watch::Sender<Upstreams>,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// The names and addresses of servers are no secret.
const MODE: u32 = 0o644;

impl Follower {
    /// Starts from what is on disk in `path`, if anything is; gives the list for [`crate::Deps`]. Servers whose sockets lie
    /// below `sockets` are of this host; others are reached over TLS.
    pub fn new(
        settings: &Settings,
        source: Arc<dyn MemberSource>,
        path: PathBuf,
        sockets: PathBuf,
    ) -> (Self, watch::Receiver<Upstreams>) {
        let known = known_last(&path);
        let (sender, receiver) = watch::channel(known);
        (
            Self {
                source,
                path,
                sockets,
                timeout: settings.follow_timeout.0,
                sender,
            },
            receiver,
        )
    }

    /// Follows the members until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(poll(&self, self.timeout)).await;
    }
}

#[async_trait]
impl Followed for Follower {
    const WHAT: &'static str = "the members of the cluster";
    type Reply = Vec<Member>;

    async fn ask(&self, after: Option<u64>) -> Result<(u64, Vec<Member>), SourceError> {
        let reply = self.source.members(after).await?;
        Ok((reply.cursor, reply.members))
    }

    fn take(&self, members: Vec<Member>) {
        let next = upstreams_of(&members, &self.sockets);
        if *self.sender.borrow() == next {
            return;
        }
        if let Err(error) = keep(&self.path, &next, MODE) {
            tracing::warn!(error = %error, "the list of servers is not kept; a restart without a server starts from an older one");
        }
        tracing::info!(servers = next.servers.len(), "the list of servers changed");
        self.sender.send_replace(next);
    }
}

fn upstreams_of(members: &[Member], sockets: &Path) -> Upstreams {
    let mut servers: Vec<Server> = members
        .iter()
        .filter(|member| member.role == Role::Server)
        .filter_map(|member| {
            let local = member
                .data_socket
                .as_ref()
                .map(PathBuf::from)
                .filter(|path| path.starts_with(sockets) && path.exists());
            let remote = || {
                Some(Endpoint::Tls {
                    address: member.address.clone()?,
                    name: format!("{}.tenon.internal", member.name),
                })
            };
            let endpoint = local.map(Endpoint::Unix).or_else(remote)?;
            let state = match member.state {
                MemberState::Ready => ServerState::Ready,
                MemberState::Draining => ServerState::Draining,
                // Our own check finds out whether it is alive: the cluster may only be unable to hear it.
                MemberState::Starting | MemberState::NotReady | MemberState::Stopped | MemberState::Dead => {
                    ServerState::NotReady
                }
            };
            Some(Server {
                name: member.name.clone(),
                endpoint,
                weight: 1,
                state,
            })
        })
        .collect();
    servers.sort_by(|a, b| a.name.cmp(&b.name));
    Upstreams { servers }
}

/// What was kept; states are not believed, as they are old, and our own checks decide until the cluster speaks.
fn known_last(path: &Path) -> Upstreams {
    let mut known: Upstreams = load(path).unwrap_or_default();
    for server in &mut known.servers {
        server.state = ServerState::Ready;
    }
    known
}

#[cfg(test)]
mod tests;
