//! Certificates that the load balancer orders itself, from authorities that speak ACME (RFC 8555), and renews.
//!
//! [`Acme::want`] says which; [`run`] gives each a [`keeper::Keeper`], which decides by `plan` when it is due, has `order` get it and
//! writes it into the load balancer's `folder`. From there it is a certificate in a file like any other: `tls` takes it up and
//! shows it, also after a start without a network. While an authority may ask for a proof, [`Challenges`] has it, and `proxy` answers
//! before anything else looks at the request.

mod challenges;
mod client;
mod folder;
mod keeper;
mod order;
mod plan;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tenon_model::Timestamp;
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use self::challenges::Challenges;
use self::folder::Folder;
use self::keeper::Keeper;
use self::plan::Attempts;
use crate::kinds::{AcmeConfig, CertificateConfig};
use crate::proxy::Shared;
use crate::tls::fingerprint;

/// Certificates that are ordered, and how that goes.
#[derive(Debug)]
pub(crate) struct Acme {
    folder: Folder,
    wanted: watch::Sender<Vec<Wanted>>,
    /// What authorities are answered.
    pub(crate) challenges: Challenges,
    states: Mutex<HashMap<String, AcmeState>>,
}

/// A certificate that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    name: String,
    /// In lower case, sorted.
    hosts: Vec<String>,
    config: AcmeConfig,
}

/// How ordering a certificate goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AcmeState {
    /// Why the last order failed, with when the next one follows; empty if it did not.
    pub(crate) problem: String,
    /// When it is ordered next; none while it is due.
    pub(crate) next: Option<Timestamp>,
}

impl Acme {
    /// Keeps everything in `folder`, which is made when it is needed.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder: Folder::new(folder),
            wanted: watch::Sender::default(),
            challenges: Challenges::default(),
            states: Mutex::default(),
        }
    }

    /// Has these certificates ordered, those of them that are to be.
    pub(crate) fn want(&self, certificates: &[(String, CertificateConfig)]) {
        let wanted: Vec<Wanted> = certificates.iter().filter_map(Wanted::of).collect();
        self.lock()
            .retain(|name, _| wanted.iter().any(|other| other.name == *name));
        self.wanted.send_if_modified(|before| {
            let is_new = *before != wanted;
            *before = wanted;
            is_new
        });
    }

    /// Where the certificate of this name is kept once it is issued; none if it is not ordered.
    pub(crate) fn file_of(&self, name: &str, config: &CertificateConfig) -> Option<PathBuf> {
        Some(self.folder.issued(name, config.acme.as_ref()?))
    }

    /// How ordering this certificate goes; nothing if it is not ordered.
    pub(crate) fn state(&self, name: &str) -> AcmeState {
        self.lock().get(name).cloned().unwrap_or_default()
    }

    fn say(&self, of: &Wanted, attempts: &Attempts, next: Option<Timestamp>) {
        let problem = match (attempts.problem.as_str(), next) {
            ("", _) => String::new(),
            (problem, None) => format!("the last order failed: {problem}; another one is on its way"),
            (problem, Some(next)) => format!("the last order failed: {problem}; the next one follows at {next}"),
        };
        // One that was just changed may be told of by its former keeper still.
        if self.wanted.borrow().contains(of) {
            self.lock().insert(of.name.clone(), AcmeState { problem, next });
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, AcmeState>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wanted {
    fn of((name, config): &(String, CertificateConfig)) -> Option<Self> {
        let mut hosts: Vec<String> = config.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        Some(Self {
            name: name.clone(),
            hosts,
            config: config.acme.clone()?,
        })
    }

    /// What it is known by on disk: anything else in the object is another order, which waits for nothing.
    fn digest(&self) -> String {
        let config = &self.config;
        let parts = [&self.hosts, &config.contact, &vec![config.directory.clone()]];
        let ca = config.ca.as_deref().unwrap_or_default();
        fingerprint(format!("{parts:?}{ca}").as_bytes())
    }
}

/// Orders and renews what is wanted, until `stop`.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut wanted = shared.acme.wanted.subscribe();
    let turn = Arc::new(Semaphore::new(1));
    // Dropping the set ends its tasks.
    let mut tasks = JoinSet::new();
    let mut kept: Vec<(Wanted, AbortHandle)> = Vec::new();
    loop {
        let now = wanted.borrow_and_update().clone();
        kept.retain(|(before, task)| {
            let stays = now.contains(before);
            if !stays {
                task.abort();
            }
            stays
        });
        for wanted in now {
            if !kept.iter().any(|(before, _)| *before == wanted) {
                let keeper = Keeper {
                    shared: Arc::clone(&shared),
                    wanted: wanted.clone(),
                    turn: Arc::clone(&turn),
                };
                kept.push((wanted, tasks.spawn(keeper.run())));
            }
        }
        while tasks.try_join_next().is_some() {}
        match stop.run_until_cancelled(wanted.changed()).await {
            Some(Ok(())) => {}
            Some(Err(_)) | None => break,
        }
    }
    tasks.shutdown().await;
}
