//! A load balancer in front of servers given on the command line, for measuring: `balance LISTEN SERVER...`, where a server is
//! `host:port` or the path of a Unix socket. `TENON_THREADS` sets the threads, `TENON_ACCESS_LOG=1` logs requests to nowhere,
//! `TENON_TLS=ADDRESS` listens for HTTPS there, with the PEM files `TENON_CERTIFICATE` and `TENON_PRIVATE_KEY`.

use std::sync::Arc;

use tenon_balancer::{Balancer, CertificateFiles, Deps, Endpoint, Server, ServerState, Settings, Upstreams};
use tokio_util::sync::CancellationToken;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().ok_or("the address to listen on is missing")?;
    let servers = arguments
        .enumerate()
        .map(|(number, address)| Server {
            name: format!("server{}", number + 1),
            endpoint: if address.starts_with('/') {
                Endpoint::Unix(address.into())
            } else {
                Endpoint::Tcp(address)
            },
            weight: 1,
            state: ServerState::Ready,
        })
        .collect();
    let threads = std::env::var("TENON_THREADS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let access_log = std::env::var_os("TENON_ACCESS_LOG").is_some();
    let settings = Settings {
        threads,
        access_log,
        ..Settings::default()
    };
    let mut tls_listeners = Vec::new();
    let mut default_certificate = None;
    if let Ok(address) = std::env::var("TENON_TLS") {
        tls_listeners.push(std::net::TcpListener::bind(address)?);
        default_certificate = Some(CertificateFiles {
            certificate: std::env::var("TENON_CERTIFICATE")?.into(),
            private_key: std::env::var("TENON_PRIVATE_KEY")?.into(),
        });
    }
    let (_sender, receiver) = tokio::sync::watch::channel(Upstreams { servers });
    let deps = Deps {
        server_tls: None,
        listeners: vec![std::net::TcpListener::bind(listen)?],
        tls_listeners,
        default_certificate,
        servers: receiver,
        configuration: tokio::sync::watch::channel(Arc::default()).1,
        acme: std::env::temp_dir().join("acme"),
        clock: Arc::new(tenon_model::SystemClock),
        random: Arc::new(tenon_model::SystemRandom),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Balancer::new(settings, deps)?.run(CancellationToken::new()))?;
    Ok(())
}
