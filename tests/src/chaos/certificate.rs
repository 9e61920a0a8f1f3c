//! Another certificate for the load balancer, in the files that it watches.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::load::served_certificate;

/// How long the load balancer may take to notice.
const PATIENCE: Duration = Duration::from_secs(30);

/// Replaces key and certificate, and waits until new connections are shown the new one.
pub(super) fn swap(environment: &Path, https_port: u16) -> anyhow::Result<()> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])?;
    let folder = environment.join("load-balancer/tls");
    replace(&folder.join("key.pem"), &signing_key.serialize_pem())?;
    replace(&folder.join("cert.pem"), &cert.pem())?;
    let started = Instant::now();
    while served_certificate(https_port)? != cert.der().as_ref() {
        if started.elapsed() > PATIENCE {
            bail!("the new certificate is not shown after {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn replace(path: &Path, content: &str) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, content).with_context(|| format!("cannot write {}", new.display()))?;
    std::fs::rename(&new, path).with_context(|| format!("cannot replace {}", path.display()))
}
