//! Learns the servers from the cluster and keeps those known last on disk. Does not judge whether a server answers.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tenon_model::{Member, MemberState, Role};
use tenon_protocol::control::MembersReply;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::BalancerError;
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

const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(2);

impl Follower {
    /// Starts from what is on disk, if anything is; gives the list for [`crate::Deps`].
    pub fn new(
        settings: &Settings,
        source: Arc<dyn MemberSource>,
        path: PathBuf,
    ) -> (Self, watch::Receiver<Upstreams>) {
        let known = load(&path);
        let (sender, receiver) = watch::channel(known);
        (
            Self {
                source,
                path,
                timeout: settings.follow_timeout.0,
                sender,
            },
            receiver,
        )
    }

    /// Follows the members until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow()).await;
    }

    async fn follow(&self) {
        let mut after = None;
        let mut pause = RETRY_FIRST;
        loop {
            let asked = tokio::time::timeout(self.timeout, self.source.members(after)).await;
            match asked.unwrap_or_else(|_| Err("no answer in time".into())) {
                Ok(reply) => {
                    // An answer that came at once although nothing changed must not make this loop spin.
                    if after == Some(reply.cursor) {
                        tokio::time::sleep(RETRY_FIRST).await;
                    }
                    after = Some(reply.cursor);
                    pause = RETRY_FIRST;
                    self.take(&reply.members);
                }
                Err(error) => {
                    tracing::debug!(%error, "the members of the cluster could not be learnt; going on with those known");
                    after = None;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_MAX);
                }
            }
        }
    }

    fn take(&self, members: &[Member]) {
        let next = upstreams_of(members);
        if *self.sender.borrow() == next {
            return;
        }
        if let Err(error) = keep(&self.path, &next) {
            tracing::warn!(error = %error, "the list of servers is not kept; a restart without a server starts from an older one");
        }
        tracing::info!(servers = next.servers.len(), "the list of servers changed");
        self.sender.send_replace(next);
    }
}

fn upstreams_of(members: &[Member]) -> Upstreams {
    let mut servers: Vec<Server> = members
        .iter()
        .filter(|member| member.role == Role::Server)
        .filter_map(|member| {
            let local = member
                .data_socket
                .as_ref()
                .map(PathBuf::from)
                .filter(|path| path.exists());
            let endpoint = local
                .map(Endpoint::Unix)
                .or_else(|| member.address.clone().map(Endpoint::Tcp))?;
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
fn load(path: &Path) -> Upstreams {
    let Ok(bytes) = std::fs::read(path) else {
        return Upstreams::default();
    };
    match serde_json::from_slice::<Upstreams>(&bytes) {
        Ok(mut known) => {
            for server in &mut known.servers {
                server.state = ServerState::Ready;
            }
            known
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the list of servers kept on disk can't be read; starting without");
            Upstreams::default()
        }
    }
}

/// Writes the list so that a crash leaves the old one or the new one.
fn keep(path: &Path, upstreams: &Upstreams) -> Result<(), BalancerError> {
    let next = path.with_extension("next");
    let write = || {
        let mut file = std::fs::File::create(&next)?;
        file.write_all(&serde_json::to_vec(upstreams)?)?;
        file.sync_data()?;
        std::fs::rename(&next, path)
    };
    write().map_err(|source| BalancerError::Keep {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
