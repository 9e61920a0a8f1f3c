//! The processes of a cluster, by what they are.

use super::subject::GROUP;
use crate::harness::{Cluster, workers_of};
use crate::load::Dying;

/// What something is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The store.
    Store,
    /// One server.
    Server,
    /// All servers at once.
    Servers,
    /// One worker of a server.
    Worker,
    /// The scheduler.
    Scheduler,
    /// The dashboard.
    Dashboard,
    /// The load balancer.
    LoadBalancer,
    /// What starts all others and holds their sockets.
    Supervisor,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Server,
        Self::Servers,
        Self::Worker,
        Self::LoadBalancer,
        Self::Supervisor,
        Self::Store,
        Self::Scheduler,
        Self::Dashboard,
    ];

    /// Its name in scenarios; that of the component where there is one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Server => "server1",
            Self::Servers => "servers",
            Self::Worker => "worker",
            Self::Scheduler => "scheduler",
            Self::Dashboard => "dashboard",
            Self::LoadBalancer => "load-balancer",
            Self::Supervisor => "supervisor",
        }
    }

    /// Whether it is one component, which can be restarted by its name.
    pub const fn is_component(self) -> bool {
        !matches!(self, Self::Servers | Self::Worker | Self::Supervisor)
    }

    /// What a client may see of its death; nothing if it never has a client's request.
    pub const fn dying(self) -> Option<Dying> {
        match self {
            Self::Server | Self::Servers | Self::Worker => Some(Dying::Back),
            Self::LoadBalancer => Some(Dying::Front),
            Self::Store | Self::Scheduler | Self::Dashboard | Self::Supervisor => None,
        }
    }

    /// Its processes that run now.
    pub fn processes(self, cluster: &Cluster) -> Vec<u32> {
        let of = |name: &str| {
            let pid = cluster.component(name)["pid"].as_u64();
            pid.and_then(|pid| u32::try_from(pid).ok())
        };
        match self {
            Self::Supervisor => {
                let pid = std::fs::read_to_string(cluster.path().join("run/supervisor.pid")).unwrap_or_default();
                pid.trim().parse().into_iter().collect()
            }
            Self::Worker => of("server2").into_iter().flat_map(workers).collect(),
            Self::Servers => ["server1", "server2"].into_iter().filter_map(of).collect(),
            _ => of(self.name()).into_iter().collect(),
        }
    }

    /// Those of its processes that are killed together: of the workers one, so that another serves meanwhile.
    pub fn victims(self, processes: &[u32]) -> &[u32] {
        match self {
            Self::Worker => &processes[..processes.len().min(1)],
            _ => processes,
        }
    }
}

/// The workers of a server that run the service which is asked.
fn workers(server: u32) -> Vec<u32> {
    let workers = workers_of(server).into_iter();
    workers
        .filter(|(_, group)| group == GROUP)
        .map(|(pid, _)| pid)
        .collect()
}
