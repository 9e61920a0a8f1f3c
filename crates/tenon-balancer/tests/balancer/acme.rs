//! Certificates that the load balancer orders, from Pebble, a real authority on loopback that issues them for tests.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tenon_model::{Clock as _, InstanceId, Timestamp};
use tenon_protocol::control::{BalancerConfiguration, ConfigurationPart, ServedCertificate};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Cluster, PATIENCE, eventually, settings, status};
use crate::secure::{Ca, Dial, Pem, ask, connect, connect_to};

const HOST: &str = "shop.example.test";

const HOSTS: [&str; 2] = [HOST, "www.shop.example.test"];

/// A program of the test; ended when it is dropped.
struct Program(Child);

impl Program {
    fn start(command: &mut Command) -> Self {
        Self(
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("Debian's package pebble, which 'cargo xtask test' installs"),
        )
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An authority that asks the load balancer of a test for proofs, whatever the host.
struct Authority {
    ca: Ca,
    /// An address of this host that nobody else uses, so that ports on it are free.
    address: Ipv4Addr,
    folder: tempfile::TempDir,
    _names: Program,
    pebble: Option<Program>,
}

impl Authority {
    fn new(http: SocketAddr) -> Self {
        let random = random_bytes();
        let address = Ipv4Addr::new(127, 100 + random[0] % 100, random[1], 1 + random[2] % 250);
        let (ca, folder) = (Ca::new(), tempfile::tempdir().unwrap());
        let own = ca.sign_host(&address.to_string());
        own.write(folder.path());
        let configuration = json!({"pebble": {
            "listenAddress": format!("{address}:14000"),
            "managementListenAddress": format!("{address}:15000"),
            "certificate": folder.path().join("cert.pem"),
            "privateKey": folder.path().join("key.pem"),
            "httpPort": http.port(),
            "tlsPort": 1,
            "certificateValidityPeriod": 90 * 24 * 3600,
            "domainBlocklist": ["blocked.example.test"],
        }});
        std::fs::write(folder.path().join("pebble.json"), configuration.to_string()).unwrap();
        let names = Program::start(Command::new("pebble-challtestsrv").args([
            "-dns01",
            &format!("{address}:8053"),
            "-management",
            &format!("{address}:8055"),
            "-defaultIPv4",
            &http.ip().to_string(),
            "-defaultIPv6",
            "",
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
        ]));
        Self {
            ca,
            address,
            folder,
            _names: names,
            pebble: None,
        }
    }

    /// Starts it; it has forgotten all accounts.
    fn start(&mut self) {
        let mut command = Command::new("pebble");
        let configuration = self.folder.path().join("pebble.json");
        command
            .args(["-config", configuration.to_str().unwrap()])
            .args(["-dnsserver", &format!("{}:8053", self.address)])
            // It would wait at random, and refuse good requests at random.
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "0")
            .env("PEBBLE_AUTHZREUSE", "0");
        self.pebble = Some(Program::start(&mut command));
    }

    async fn until_up(&self) {
        let (acme, names) = ((self.address, 14000), (self.address, 8055));
        eventually("an authority that listens", || {
            std::net::TcpStream::connect(acme).is_ok() && std::net::TcpStream::connect(names).is_ok()
        })
        .await;
    }

    /// The CA of what it issues; another one after each start.
    async fn root(&self) -> CertificateDer<'static> {
        let own = Pem {
            certificate: self.ca.certificate.clone(),
            key: String::new(),
        };
        let config = Dial::default().config(&[own.der()]);
        let management = SocketAddr::from((self.address, 15000));
        let stream = connect_to(management, &self.address.to_string(), config).await.unwrap();
        let answer = ask(stream, "/roots/0").await.unwrap();
        CertificateDer::from_pem_slice(answer.as_bytes()).unwrap()
    }

    fn order(&self, hosts: &[&str]) -> Value {
        json!({"hosts": hosts, "acme": {
            "directory": format!("https://{}:14000/dir", self.address),
            "contact": ["mailto:ops@example.com"],
            "terms_agreed": true,
            "ca": self.ca.certificate,
        }})
    }
}

fn random_bytes() -> [u8; 3] {
    use tenon_model::Random as _;
    let mut random = [0; 3];
    tenon_model::SystemRandom.fill(&mut random);
    random
}

/// Settings with which an order that failed is repeated, by the test's clock, after an hour, and files are looked at often.
fn quick() -> tenon_balancer::Settings {
    let mut settings = settings();
    settings.certificate_check_interval = "20ms".parse().unwrap();
    settings.acme_retry_min = "1h".parse().unwrap();
    settings.acme_retry_max = "2h".parse().unwrap();
    settings
}

/// An authority may ask for a pause of some seconds before it is asked how an order is.
const ORDERED_WITHIN: Duration = Duration::from_secs(30);

const DAY: Duration = Duration::from_hours(24);

/// `strict` has everything denied, or redirected to HTTPS.
fn put_in_force(cluster: &Cluster, certificate: &Value, strict: bool) {
    let part = |name: &str, body: Value| ConfigurationPart {
        name: name.into(),
        version: 1,
        body,
        problem: String::new(),
    };
    let denies = json!({"match": {"paths": ["/*"]}, "action": {"deny": {"status": 404}}});
    cluster.configuration.send_replace(Arc::new(BalancerConfiguration {
        balancer: strict.then(|| part("main", json!({"redirect_to_https": "permanent"}))),
        certificates: vec![part("shop", certificate.clone())],
        rules: strict.then(|| part("nothing", denies)).into_iter().collect(),
        ..BalancerConfiguration::default()
    }));
}

/// How the certificate is that is ordered.
fn shop(cluster: &Cluster) -> Option<ServedCertificate> {
    let report = cluster
        .handle
        .report("lb", &InstanceId::from_text("i"), Timestamp::default());
    report.certificates.into_iter().find(|other| other.name == "shop")
}

async fn until(cluster: &Cluster, what: &str, holds: impl Fn(&ServedCertificate) -> bool) -> ServedCertificate {
    let waiting = async {
        loop {
            if let Some(certificate) = shop(cluster).filter(&holds) {
                return certificate;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(ORDERED_WITHIN, waiting).await;
    assert!(waited.is_ok(), "{what} instead of {:?}", shop(cluster));
    waited.unwrap()
}

/// Connects as a client that trusts the authority only; what it is shown is what the report says.
async fn visit(cluster: &Cluster, authority: &Authority, certificate: &ServedCertificate) {
    let root = authority.root().await;
    let stream = connect(cluster, HOST, &[root], &Dial::default()).await.unwrap();
    assert_eq!(
        fingerprint(&stream.get_ref().1.peer_certificates().unwrap()[0]),
        certificate.fingerprint
    );
}

fn fingerprint(certificate: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_good(certificate: &ServedCertificate) -> bool {
    !certificate.fingerprint.is_empty() && certificate.problem.is_empty() && certificate.next_order.is_some()
}

fn copy_kept(from: &Cluster, to: &Cluster) {
    std::fs::create_dir(&to.acme).unwrap();
    for file in std::fs::read_dir(&from.acme).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.acme.join(file.file_name())).unwrap();
    }
}

/// What is kept is for the owner only.
fn assert_private(cluster: &Cluster) {
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&cluster.acme), 0o700);
    let kept: Vec<_> = std::fs::read_dir(&cluster.acme)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    assert!(
        kept.len() == 3 && kept.iter().all(|path| mode(path) == 0o600),
        "{kept:?}"
    );
}

#[tokio::test]
async fn a_certificate_is_ordered_served_kept_and_renewed() {
    let cluster = Cluster::start_cold(0, quick(), true);
    let mut authority = Authority::new(cluster.address);
    authority.start();
    authority.until_up().await;
    put_in_force(&cluster, &authority.order(&HOSTS), false);
    let first = until(&cluster, "a certificate", is_good).await;
    assert_eq!(first.hosts, HOSTS);
    let life = first.next_order.unwrap().since(first.not_before.unwrap());
    assert!(life >= 59 * DAY && life <= 64 * DAY, "{life:?}");
    visit(&cluster, &authority, &first).await;
    assert_private(&cluster);

    // What rules and redirections say is not for authorities.
    put_in_force(&cluster, &authority.order(&HOSTS), true);
    let unknown = async {
        while status(&cluster.get("/.well-known/acme-challenge/x").await) != 308 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, unknown).await.expect("a redirection");
    cluster.clock.advance(64 * DAY);
    let second = until(&cluster, "a renewed certificate", |now| {
        is_good(now) && now.fingerprint != first.fingerprint
    })
    .await;
    visit(&cluster, &authority, &second).await;
    // By the test's clock this one is as old, but an authority is not asked again and again.
    assert_eq!(
        second.next_order,
        Some(cluster.clock.now().plus(Duration::from_hours(1)))
    );

    let root = authority.root().await;
    authority.pebble = None;
    cluster.clock.advance(Duration::from_hours(1));
    let third = until(&cluster, "an order that fails", |now| {
        now.problem.contains("can't be reached")
    })
    .await;
    assert_eq!(third.fingerprint, second.fingerprint);
    let pause = third.next_order.unwrap().since(cluster.clock.now());
    assert!(
        pause >= Duration::from_hours(1) && pause <= Duration::from_mins(75),
        "{pause:?}"
    );
    // One that starts now has the certificate, and knows that it is to wait.
    let other = Cluster::start_cold(0, quick(), true);
    other.clock.set(cluster.clock.now());
    copy_kept(&cluster, &other);
    put_in_force(&other, &authority.order(&HOSTS), false);
    let there = until(&other, "the kept certificate", |now| {
        !now.fingerprint.is_empty() && now.next_order.is_some()
    })
    .await;
    assert_eq!(
        (&there.fingerprint, there.next_order),
        (&third.fingerprint, third.next_order)
    );
    assert!(connect(&other, HOST, &[root], &Dial::default()).await.is_ok());

    authority.start();
    authority.until_up().await;
    cluster.clock.advance(Duration::from_mins(75));
    let last = until(&cluster, "a certificate of the authority that is back", |now| {
        is_good(now) && now.fingerprint != second.fingerprint
    })
    .await;
    visit(&cluster, &authority, &last).await;
}

/// An authority that answers nothing but that it is asked too much.
async fn overloaded(own: &Pem, listener: tokio::net::TcpListener) {
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.der()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut head).await.unwrap() > 0);
        }
        let answer = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7000\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        // Its client may have gone once it had the answer.
        let _ = stream.shutdown().await;
    }
}

#[tokio::test]
async fn an_authority_that_asks_for_a_pause_gets_it() {
    let cluster = Cluster::start_cold(0, quick(), true);
    let ca = Ca::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let own = ca.sign_host("127.0.0.1");
    let answering = tokio::spawn(async move { overloaded(&own, listener).await });
    let order = json!({"hosts": [HOST], "acme": {
        "directory": format!("https://{address}/dir"),
        "terms_agreed": true,
        "ca": ca.certificate,
    }});
    put_in_force(&cluster, &order, false);
    let told = until(&cluster, "an authority that is overloaded", |now| {
        now.problem.contains("answered 429") && now.next_order.is_some()
    })
    .await;
    let pause = told.next_order.unwrap().since(cluster.clock.now()).as_secs();
    assert!((7000..7000 * 5 / 4 + 1).contains(&pause), "{pause}");
    answering.abort();
}

#[tokio::test]
async fn an_order_that_is_refused_leaves_what_is_there() {
    let cluster = Cluster::start_cold(0, quick(), true);
    // It asks for proofs where nobody listens.
    let mut authority = Authority::new("127.0.0.1:1".parse().unwrap());
    authority.start();
    authority.until_up().await;
    put_in_force(&cluster, &authority.order(&[HOST]), false);
    let unverified = until(&cluster, "a host that can't be verified", |now| {
        now.problem.contains("could not verify shop.example.test") && now.next_order.is_some()
    })
    .await;
    assert_eq!(unverified.fingerprint, "");
    let own = [cluster.certificate.der()];
    assert!(connect(&cluster, "localhost", &own, &Dial::default()).await.is_ok());
    // Other hosts are another order, which needs no waiting.
    put_in_force(&cluster, &authority.order(&[HOST, "blocked.example.test"]), false);
    let refused = until(&cluster, "hosts that are refused", |now| {
        now.problem.contains("the authority refused")
    })
    .await;
    assert!(refused.problem.contains("blocked.example.test"), "{}", refused.problem);
    let mut stranger = authority.order(&[HOST]);
    stranger["acme"]["ca"] = json!(Ca::new().certificate);
    put_in_force(&cluster, &stranger, false);
    let distrusted = until(&cluster, "an authority that is not trusted", |now| {
        now.problem.contains("invalid peer certificate")
    })
    .await;
    assert_eq!(distrusted.fingerprint, "");
    // A clock that was wrong and is set right does not make it wait for years.
    let wrong = cluster.clock.now().as_millis();
    cluster.clock.set(Timestamp::from_millis(wrong - 1000 * 24 * 3_600_000));
    let longest = cluster.clock.now().plus(Duration::from_mins(150));
    until(&cluster, "a pause by the right clock", |now| {
        now.next_order.is_some_and(|next| next <= longest)
    })
    .await;
}
