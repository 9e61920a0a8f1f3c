//! Deployments with a real store, real folders and real workers.

mod canaries;
mod default_group;
mod groups;
mod limits;
mod requirements;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tenon_model::{
    CorrelationId, InstanceId, Member, MemberState, Revision, Role, SystemClock, SystemRandom, Timestamp,
};
use tenon_protocol::control::DeploymentState;
use tenon_store::DEFAULT_GROUP;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::call::{CallSource, HostCall, HostReturn, ServiceCall, ServiceError};
use crate::services::Services;
use crate::workers::tests::{sdk, service_call};

/// Lets services invoke each other, and nothing else.
#[derive(Debug, Default)]
struct Host(std::sync::OnceLock<Services>);

#[async_trait]
impl HostCalls for Host {
    async fn host_call(&self, call: HostCall) -> HostReturn {
        let invoked = ServiceCall {
            cid: call.cid,
            source: CallSource::Service(call.service),
            deployment: call.deployment,
            depth: call.depth + 1,
            ..service_call(call.request["service"].as_str().unwrap(), &json!({}))
        };
        let answer = self.0.get().unwrap().call(invoked).await.unwrap();
        HostReturn {
            code: 0,
            tail: json!({ "status": answer.status, "content_type": "application/json", "is_json": true }),
            body_is_json: true,
            body: answer.body,
        }
    }
}

struct Cluster {
    dir: tempfile::TempDir,
    store: Store,
}

struct Server {
    services: Services,
    stop: CancellationToken,
    task: JoinHandle<()>,
    heart: JoinHandle<()>,
}

fn cluster() -> Cluster {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("services")).unwrap();
    let store = Store::sqlite_in(&dir.path().join("data"), Arc::new(SystemClock), Arc::new(SystemRandom)).unwrap();
    Cluster { dir, store }
}

/// Files sent to the default group.
fn sent(files: Vec<DeploymentFile>) -> DeploymentChange {
    sent_to(DEFAULT_GROUP, files)
}

fn sent_to(group: &str, files: Vec<DeploymentFile>) -> DeploymentChange {
    DeploymentChange {
        group: group.to_owned(),
        files,
        source: "test".to_owned(),
        ..DeploymentChange::default()
    }
}

fn version(text: &str) -> String {
    format!(
        "import os\nfrom tenon import Service\n\nclass Version(Service):\n    name = 'test.version'\n\n    def handle(self):\n        \
         self.response.payload = {{'version': '{text}', 'pid': os.getpid()}}\n"
    )
}

impl Cluster {
    fn services_dir(&self) -> PathBuf {
        self.dir.path().join("services")
    }

    fn save(&self, name: &str, content: &str) {
        let (path, temporary) = (self.services_dir().join(name), self.services_dir().join(".saving"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&temporary, content).unwrap();
        std::fs::rename(temporary, path).unwrap();
    }

    fn server(&self, name: &str) -> Server {
        self.server_with(name, |_| {})
    }

    fn parts(&self, name: &str, change: impl FnOnce(&mut ServicesParts)) -> ServicesParts {
        let mut parts = ServicesParts {
            store: self.store.clone(),
            host: Arc::new(Host::default()),
            sdk: SdkFiles::from_dir(sdk().parent().unwrap()).unwrap(),
            cluster: "a cluster".to_owned(),
            server: name.to_owned(),
            instance: InstanceId::generate(&SystemRandom),
            run_dir: self.dir.path().join(name),
            services_dir: Some(self.services_dir()),
            random: Arc::new(SystemRandom),
            workers: WorkerSettings {
                workers: 2,
                ..WorkerSettings::default()
            },
            deployments: DeploymentSettings {
                look_every: tenon_model::DurationText::from_millis(500),
                ..DeploymentSettings::default()
            },
        };
        change(&mut parts);
        parts
    }

    fn server_with(&self, name: &str, change: impl FnOnce(&mut ServicesParts)) -> Server {
        let host = Arc::new(Host::default());
        let mut parts = self.parts(name, change);
        parts.host = host.clone();
        let instance = parts.instance.clone();
        let services = Services::new(parts).unwrap();
        host.0.set(services.clone()).unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(services.clone().run(stop.clone()));
        let heart = tokio::spawn(beat(self.store.clone(), services.clone(), name.to_owned(), instance));
        Server {
            services,
            stop,
            task,
            heart,
        }
    }
}

async fn beat(store: Store, services: Services, name: String, instance: InstanceId) {
    loop {
        let status = services.status();
        let member = Member {
            name: name.clone(),
            role: Role::Server,
            instance: instance.clone(),
            pid: 1,
            state: if status.ready {
                MemberState::Ready
            } else {
                MemberState::NotReady
            },
            reason: status.detail,
            version: String::new(),
            address: None,
            data_socket: None,
            control_address: None,
            started_at: Timestamp::default(),
            memory_bytes: 0,
            revision: Revision::default(),
            deployment: status.deployment,
            seen_at: Timestamp::default(),
        };
        let _ = store.heartbeat(member).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Server {
    async fn invoke(&self, service: &str) -> Result<Value, ServiceError> {
        let call = ServiceCall {
            cid: CorrelationId::generate(&SystemRandom),
            ..service_call(service, &json!({}))
        };
        let answer = self.services.call(call).await?;
        Ok(serde_json::from_slice(&answer.body).unwrap())
    }

    async fn version(&self) -> String {
        match self.invoke("test.version").await {
            Ok(answer) => answer["version"].as_str().unwrap().to_owned(),
            Err(error) => error.to_string(),
        }
    }

    /// Waits for what `test.version` answers.
    async fn serves(&self, version: &str) {
        let started = Instant::now();
        while self.version().await != version {
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "{version}: {:?}",
                self.services.status()
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits for what a service answers as its version.
    async fn answers(&self, service: &str, version: &str) {
        self.answers_with(service, "version", json!(version)).await;
    }

    /// Waits for an element of what a service answers.
    async fn answers_with(&self, service: &str, element: &str, wanted: Value) {
        let started = Instant::now();
        loop {
            let answer = self.invoke(service).await;
            if answer.as_ref().is_ok_and(|answer| answer[element] == wanted) {
                return;
            }
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "{service}: {answer:?}: {:?}",
                self.services.status()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until there is no such service.
    async fn has_no(&self, service: &str) {
        let started = Instant::now();
        while !matches!(self.invoke(service).await, Err(ServiceError::NotFound(_))) {
            assert!(started.elapsed() < Duration::from_secs(30), "{service} is still there");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Deploys files of a group, which becomes live.
    async fn deploy(&self, group: &str, files: Vec<DeploymentFile>) -> DeploymentSummary {
        let summary = self.services.deployments().deploy(sent_to(group, files)).await.unwrap();
        assert_eq!(summary.state, DeploymentState::Live, "{summary:?}");
        summary
    }

    async fn ready(&self) {
        let started = Instant::now();
        while !self.services.status().ready {
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "{:?}",
                self.services.status()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
        self.heart.abort();
    }
}

/// Waits for the newest deployment that fits.
async fn newest(store: &Store, fits: impl Fn(&DeploymentSummary) -> bool) -> DeploymentSummary {
    let started = Instant::now();
    loop {
        let all = store.deployments(None, None, 100).await.unwrap();
        if let Some(found) = all.iter().find(|one| fits(one)) {
            return found.clone();
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{all:#?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
