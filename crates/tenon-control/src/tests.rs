//! Both sides of the control protocol on loopback, with certificates of a CA made for the test.

use std::path::Path;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::routing::{MethodRouter, get};
use axum::{Extension, Json};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tenon_model::{Problem, Role};
use tenon_protocol::control::{ClusterStatus, GetStatus, HealthReport, NoParams, Nothing};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    Addresses, ControlClient, ControlError, ControlListener, ControlSettings, Health, Identity, Peer, dns_name,
    health_routes,
};

struct AlwaysReady;

impl Health for AlwaysReady {
    fn report(&self) -> HealthReport {
        HealthReport {
            name: "server1".into(),
            role: Role::Server,
            ready: true,
            version: "0".into(),
            in_flight: 0,
            pid: 1,
            checks: Vec::new(),
        }
    }
}

/// Writes a CA and a certificate for each role into the folder.
fn write_certificates(folder: &Path, roles: &[Role]) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
    for role in roles {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![dns_name(role.as_str())]).unwrap();
        let certificate = params.signed_by(&key, &ca).unwrap();
        let folder = folder.join(role.as_str());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    }
}

fn identity(folder: &Path, role: Role) -> Identity {
    Identity::load(&folder.join("ca.pem"), &folder.join(role.as_str())).unwrap()
}

async fn start_server(identity: &Identity, stop: &CancellationToken) -> String {
    let status = |Extension(peer): Extension<Peer>| async move {
        let cluster = peer.role.map_or_else(String::new, |role| role.to_string());
        Json(ClusterStatus {
            cluster,
            revision: tenon_model::Revision(0),
            deployment: 0,
            components: Vec::new(),
        })
    };
    start_with(identity, get(status), stop).await
}

/// A server that answers this to `GetStatus`.
async fn start_with(identity: &Identity, status: MethodRouter, stop: &CancellationToken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = health_routes(Arc::new(AlwaysReady), Arc::new(String::new)).route("/v1/status", status);
    let server = ControlListener::new(listener, identity, router, ControlSettings::default()).unwrap();
    tokio::spawn(server.run(stop.clone()));
    address
}

#[tokio::test]
async fn a_call_reaches_the_next_address_and_tells_who_calls() {
    let folder = tempfile::tempdir().unwrap();
    write_certificates(folder.path(), &[Role::Server, Role::Dashboard]);
    let stop = CancellationToken::new();
    let address = start_server(&identity(folder.path(), Role::Server), &stop).await;
    let nobody = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let addresses = Addresses::new(vec![nobody, address]);
    let dashboard = identity(folder.path(), Role::Dashboard);
    let client = ControlClient::new(&dashboard, Role::Server, addresses, ControlSettings::default()).unwrap();
    let status = client.call::<GetStatus>(&NoParams {}, &Nothing {}).await.unwrap();
    assert_eq!(status.cluster, "dashboard");
    stop.cancel();
}

#[tokio::test]
async fn a_server_that_is_starting_is_passed_over_and_believed_if_there_is_no_other() {
    let folder = tempfile::tempdir().unwrap();
    write_certificates(folder.path(), &[Role::Server, Role::Operator]);
    let (stop, server) = (CancellationToken::new(), identity(folder.path(), Role::Server));
    let starting = get(|| async {
        let problem = Problem::new(503, Problem::STARTING, "try again soon");
        (StatusCode::SERVICE_UNAVAILABLE, problem.to_json())
    });
    let starting = start_with(&server, starting, &stop).await;
    let started = start_server(&server, &stop).await;
    let operator = identity(folder.path(), Role::Operator);
    let call = async |addresses: &[&String]| {
        let addresses = Addresses::new(addresses.iter().map(ToString::to_string).collect());
        let client = ControlClient::new(&operator, Role::Server, addresses, ControlSettings::default()).unwrap();
        client.call::<GetStatus>(&NoParams {}, &Nothing {}).await
    };
    assert_eq!(call(&[&starting, &started]).await.unwrap().cluster, "operator");
    let error = call(&[&starting]).await.unwrap_err();
    assert!(
        error
            .problem()
            .is_some_and(|problem| problem.is_called(Problem::STARTING)),
        "{error:?}"
    );
    stop.cancel();
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_refused() {
    let ours = tempfile::tempdir().unwrap();
    let theirs = tempfile::tempdir().unwrap();
    write_certificates(ours.path(), &[Role::Server]);
    write_certificates(theirs.path(), &[Role::Operator]);
    let stop = CancellationToken::new();
    let address = start_server(&identity(ours.path(), Role::Server), &stop).await;
    let stranger = identity(theirs.path(), Role::Operator);
    let client = ControlClient::new(
        &stranger,
        Role::Server,
        Addresses::new(vec![address]),
        ControlSettings::default(),
    )
    .unwrap();
    let error = client.call::<GetStatus>(&NoParams {}, &Nothing {}).await.unwrap_err();
    assert!(matches!(error, ControlError::Unreachable { .. }), "{error:?}");
    stop.cancel();
}

#[tokio::test]
async fn a_caller_talks_only_to_the_role_that_it_means() {
    let folder = tempfile::tempdir().unwrap();
    write_certificates(folder.path(), &[Role::Scheduler, Role::Dashboard]);
    let stop = CancellationToken::new();
    let address = start_server(&identity(folder.path(), Role::Scheduler), &stop).await;
    let client = ControlClient::new(
        &identity(folder.path(), Role::Dashboard),
        Role::Server,
        Addresses::new(vec![address]),
        ControlSettings::default(),
    )
    .unwrap();
    let error = client.call::<GetStatus>(&NoParams {}, &Nothing {}).await.unwrap_err();
    assert!(matches!(error, ControlError::Unreachable { .. }), "{error:?}");
    stop.cancel();
}
