//! Certificates: which one is shown, how they are replaced, and those of clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use tenon_model::{InstanceId, Timestamp};
use tenon_protocol::control::{BalancerConfiguration, ConfigurationPart};

use crate::harness::{Cluster, PATIENCE, eventually, settings};
use crate::secure::{Ca, Dial, Pem, ask, connect};

/// Settings with which files are looked at often.
fn watchful() -> tenon_balancer::Settings {
    let mut settings = settings();
    settings.certificate_check_interval = "20ms".parse().unwrap();
    settings
}

/// Which of these certificates is shown for a host.
async fn shown(cluster: &Cluster, host: &str, of: &[CertificateDer<'static>]) -> Option<usize> {
    let stream = connect(cluster, host, of, &Dial::default()).await.ok()?;
    let shown = stream.get_ref().1.peer_certificates()?.first()?.clone();
    of.iter().position(|certificate| *certificate == shown)
}

async fn until_shown(cluster: &Cluster, host: &str, wanted: &Pem) {
    let waiting = async {
        while shown(cluster, host, &[wanted.der()]).await.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("the certificate in time");
}

fn part(name: &str, body: Value) -> ConfigurationPart {
    ConfigurationPart {
        name: name.into(),
        version: 1,
        body,
        problem: String::new(),
    }
}

fn put_in_force(cluster: &Cluster, balancer: Value, certificates: &[(&str, Value)]) {
    cluster.configuration.send_replace(Arc::new(BalancerConfiguration {
        balancer: Some(part("main", balancer)),
        certificates: certificates
            .iter()
            .map(|(name, body)| part(name, body.clone()))
            .collect(),
        ..BalancerConfiguration::default()
    }));
}

fn inline(pem: &Pem, hosts: &[&str], is_default: bool) -> Value {
    json!({"hosts": hosts, "certificate": pem.certificate, "private_key": pem.key, "is_default": is_default})
}

#[tokio::test]
async fn files_are_replaced_under_load_and_no_request_fails() {
    let cluster = Arc::new(Cluster::start(1, watchful()).await);
    let next: Vec<Pem> = (0..3).map(|_| Pem::of(&["localhost"])).collect();
    let trusted: Vec<_> = [&cluster.certificate].into_iter().chain(&next).map(Pem::der).collect();
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (cluster, trusted) = (Arc::clone(&cluster), trusted.clone());
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    let stream = connect(&cluster, "localhost", &trusted, &Dial::default())
                        .await
                        .unwrap();
                    assert!(ask(stream, "/").await.unwrap().starts_with("HTTP/1.1 200"));
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for certificate in &next {
        certificate.write(&cluster.tls);
        until_shown(&cluster, "localhost", certificate).await;
    }
    stop.store(true, Ordering::SeqCst);
    for task in load {
        task.await.unwrap();
    }
    assert!(answered.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn a_broken_new_file_keeps_the_old_certificate() {
    let cluster = Cluster::start(1, watchful()).await;
    let first = cluster.certificate.clone();
    let problems = || {
        let report = cluster
            .handle
            .report("lb", &InstanceId::from_text("i"), Timestamp::default());
        let problems = report.certificates.into_iter().map(|certificate| certificate.problem);
        problems.filter(|problem| !problem.is_empty()).collect::<Vec<_>>()
    };
    std::fs::write(cluster.tls.join("cert.pem"), "no certificate").unwrap();
    eventually("an error", || problems().len() == 1).await;
    until_shown(&cluster, "localhost", &first).await;
    // A certificate whose key has not come yet is not used either.
    let second = Pem::of(&["localhost"]);
    std::fs::write(cluster.tls.join("cert.pem"), &second.certificate).unwrap();
    eventually("another error", || problems().iter().any(|error| error.contains("key"))).await;
    until_shown(&cluster, "localhost", &first).await;
    std::fs::write(cluster.tls.join("key.pem"), &second.key).unwrap();
    until_shown(&cluster, "localhost", &second).await;
    eventually("no error", || problems().is_empty()).await;
}

#[tokio::test]
async fn each_host_is_shown_its_certificate() {
    let cluster = Cluster::start(1, watchful()).await;
    let directory = tempfile::tempdir().unwrap();
    let (api, wild, filed) = (
        Pem::of(&["api.example.com"]),
        Pem::of(&["*.example.com", "elsewhere.test"]),
        Pem::of(&["files.test"]),
    );
    filed.write(directory.path());
    let in_files = json!({
        "certificate_file": directory.path().join("cert.pem"),
        "private_key_file": directory.path().join("key.pem"),
    });
    put_in_force(
        &cluster,
        json!({}),
        &[
            ("api", inline(&api, &[], false)),
            ("files", in_files),
            ("wild", inline(&wild, &["*.example.com"], false)),
        ],
    );
    until_shown(&cluster, "api.example.com", &api).await;
    let all = [api.der(), wild.der(), filed.der(), cluster.certificate.der()];
    for (host, expected) in [
        ("a.example.com", Some(1)),
        ("files.test", Some(2)),
        ("localhost", Some(3)),
    ] {
        assert_eq!(shown(&cluster, host, &all).await, expected, "{host}");
    }
    let renewed = Pem::of(&["files.test"]);
    renewed.write(directory.path());
    until_shown(&cluster, "files.test", &renewed).await;
    // What is no longer configured is no longer shown.
    put_in_force(&cluster, json!({}), &[("wild", inline(&wild, &[], true))]);
    until_shown(&cluster, "elsewhere.test", &wild).await;
    assert_eq!(shown(&cluster, "files.test", &[renewed.der()]).await, None);
}

#[tokio::test]
async fn certificates_of_clients_are_verified_and_handed_on() {
    let cluster = Cluster::start(1, watchful()).await;
    let (ca, stranger) = (Ca::new(), Ca::new());
    let (known, unknown) = (ca.sign("ann"), stranger.sign("eve"));
    let trusted = [cluster.certificate.der()];
    let tls = |wanted: &str| json!({"tls": {"client_certificates": wanted, "client_ca": ca.certificate}});
    let may = |dial: Dial| {
        let (cluster, trusted) = (&cluster, &trusted);
        // With TLS 1.3 a client learns of a refusal only when it reads.
        async move {
            match connect(cluster, "localhost", trusted, &dial).await {
                Ok(stream) => ask(stream, "/").await.is_ok(),
                Err(_) => false,
            }
        }
    };
    put_in_force(&cluster, tls("optional"), &[]);
    let asked = async {
        while may(Dial::with(unknown.clone())).await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked)
        .await
        .expect("the settings in force");
    assert!(may(Dial::default()).await);
    assert!(may(Dial::with(known.clone())).await);
    put_in_force(&cluster, tls("required"), &[]);
    let required = async {
        while may(Dial::default()).await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, required)
        .await
        .expect("the settings in force");
    assert!(may(Dial::with(known.clone())).await && !may(Dial::with(unknown)).await);
    let seen = cluster.backends[0].behaviour.seen.lock().unwrap();
    let head = String::from_utf8_lossy(seen.last().unwrap()).into_owned();
    for there in [
        "x-tenon-client-cert-verified: 1\r\n",
        "x-tenon-client-cert-subject: CN=ann,O=Example\\, Ltd.\r\n",
        "x-tenon-client-cert-fingerprint: ",
    ] {
        assert!(head.contains(there), "{there} is not in {head}");
    }
}

#[tokio::test]
async fn tls_1_2_can_be_switched_off() {
    let cluster = Cluster::start(1, watchful()).await;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cluster.certificate.der()).unwrap();
    let old = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let old = Arc::new(old);
    let speaks = || async {
        crate::secure::connect_with(&cluster, "localhost", Arc::clone(&old))
            .await
            .is_ok()
    };
    assert!(speaks().await);
    put_in_force(&cluster, json!({"tls": {"min_version": "1.3"}}), &[]);
    let refused = async {
        while speaks().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused)
        .await
        .expect("the settings in force");
    assert!(
        shown(&cluster, "localhost", &[cluster.certificate.der()])
            .await
            .is_some()
    );
}
