//! Planning lets the runtime go on.

use async_trait::async_trait;
use tenon_model::{InstanceId, SystemRandom};
use tenon_protocol::control::ManifestObject;

use super::*;
use crate::call::{HostCall, HostCalls, HostReturn};
use crate::deployments::{DeploymentSettings, SdkFiles};
use crate::services::ServicesParts;
use crate::snapshot::tests::{Attentive, World, channel};
use crate::workers::WorkerSettings;

/// No service runs here.
#[derive(Debug)]
struct NoHost;

#[async_trait]
impl HostCalls for NoHost {
    async fn host_call(&self, _: HostCall) -> HostReturn {
        unreachable!("no service runs")
    }
}

fn services(world: &World) -> Services {
    Services::new(ServicesParts {
        store: world.store.clone(),
        host: Arc::new(NoHost),
        sdk: SdkFiles::new(Vec::new()),
        cluster: "a cluster".to_owned(),
        server: "server1".to_owned(),
        instance: InstanceId::generate(&SystemRandom),
        run_dir: world.dir.path().join("run"),
        services_dir: None,
        random: Arc::new(SystemRandom),
        workers: WorkerSettings::default(),
        deployments: DeploymentSettings::default(),
    })
    .unwrap()
}

/// A writer of a world in which nothing is in force yet.
pub(crate) fn writer(world: &World, connectors: Vec<Box<dyn Connector>>) -> ObjectWriter {
    ObjectWriter {
        store: world.store.clone(),
        catalog: Arc::clone(&world.catalog),
        connectors: Arc::new(connectors),
        secrets: world.secrets.clone(),
        services: services(world),
        snapshot: Arc::default(),
        turn: Arc::new(Semaphore::new(1)),
    }
}

#[tokio::test]
async fn requests_go_on_while_a_manifest_is_planned() {
    let world = World::new();
    let attentive = Attentive::default();
    let writer = writer(&world, vec![Box::new(attentive.clone())]);
    let objects = (0..5).map(|number| ManifestObject {
        kind: "rest-channel".to_owned(),
        name: format!("c{number}").parse().unwrap(),
        body: channel(&format!("/{number}")),
        manifest: None,
    });
    let request = ApplyRequest {
        objects: objects.collect(),
        ..ApplyRequest::default()
    };
    let (applied, went_on) = attentive.beside(writer.apply(request, "test")).await;
    assert_eq!(applied.unwrap().plan.changes.len(), 5);
    assert!(went_on, "the runtime stood still while a manifest was planned");
}
