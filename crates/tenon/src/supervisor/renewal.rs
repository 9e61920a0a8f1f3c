//! Certificates are issued anew long before they end; components read them again by themselves.

use std::path::Path;
use std::time::{Duration, SystemTime};

use tenon_model::{Clock as _, Role, SystemClock};
use tokio_util::sync::CancellationToken;

use crate::environment::Environment;
use crate::environment::authority::Authority;
use crate::environment::public_certificate;

/// A certificate this old is issued anew. It is valid for a year, so a month's failures to renew are no harm.
const RENEW_AFTER: Duration = Duration::from_hours(30 * 24);

/// A certificate this old needs somebody's attention if it can't be renewed here.
const ENDS_SOON: Duration = Duration::from_hours(335 * 24);

/// Clients may have been told to trust a load balancer's self-signed certificate, so that one is kept almost to its end.
const RENEW_SELF_SIGNED_AFTER: Duration = Duration::from_hours(335 * 24);

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_hours(6);

/// Renews the certificates of all components and of the operator, until `stop`.
pub(super) async fn keep_certificates_young(environment: Environment, stop: CancellationToken) {
    loop {
        if let Err(error) = renew_old(&environment, RENEW_AFTER) {
            tracing::error!("certificates can't be renewed: {error:#}");
        }
        if let Err(error) = renew_self_signed(&environment, RENEW_SELF_SIGNED_AFTER) {
            tracing::error!("the certificate for HTTPS can't be renewed: {error:#}");
        }
        if stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_none() {
            return;
        }
    }
}

/// Issues anew what is older than `age`; returns how many that were.
fn renew_old(environment: &Environment, age: Duration) -> anyhow::Result<usize> {
    let layout = environment.layout();
    let mut old = vec![(Role::Operator, Role::Operator.as_str().to_owned())];
    old.extend(
        environment
            .components()?
            .into_iter()
            .map(|component| (component.role, component.name)),
    );
    old.retain(|(_, name)| is_older(&layout.ca().join(name).join("cert.pem"), age));
    if old.is_empty() {
        return Ok(0);
    }
    if !layout.ca().join("ca-key.pem").exists() {
        // The CA is on another host; whoever looks after this one has to fetch a certificate from there.
        for (_, name) in old {
            if is_older(&layout.ca().join(&name).join("cert.pem"), ENDS_SOON) {
                let command =
                    format!("tenon cert issue on the cluster's host, then `tenon create … --join`, for {name}");
                tracing::warn!(
                    component = name,
                    "the certificate of {name} ends soon; renew it with {command}"
                );
            }
        }
        return Ok(0);
    }
    let cluster = &environment.settings().cluster.name;
    let authority = Authority::load(layout, cluster, SystemClock.now())?;
    for (role, name) in &old {
        authority.issue(layout, cluster, *role, name)?;
        tracing::info!(component = name, "the certificate of {name} was renewed");
    }
    Ok(old.len())
}

/// Makes self-signed certificates for HTTPS anew that are older than `age`; those that somebody else put there are left alone.
fn renew_self_signed(environment: &Environment, age: Duration) -> anyhow::Result<()> {
    for component in environment.components()? {
        let Some(https) = component.addresses.https else {
            continue;
        };
        let (layout, name) = (environment.layout(), &component.name);
        let is_old = |file: &Path| is_older(file, age);
        if public_certificate::renew(layout, name, https.ip(), SystemClock.now(), is_old)? {
            tracing::warn!(
                component = name,
                "the self-signed certificate for HTTPS of {name} was made anew"
            );
        }
    }
    Ok(())
}

fn is_older(file: &Path, age: Duration) -> bool {
    let written = std::fs::metadata(file).and_then(|metadata| metadata.modified());
    written.is_ok_and(|written| SystemTime::now().duration_since(written).unwrap_or_default() >= age)
}
