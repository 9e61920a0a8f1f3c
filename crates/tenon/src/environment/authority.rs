//! The cluster's CA, and the certificates by which its components know each other.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use anyhow::Context as _;
use jiff::civil::Date;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use serde::{Deserialize, Serialize};
use tenon_model::{Role, Timestamp};

use super::layout::Layout;
use super::secrets::write_private;

/// How long the CA is valid. Its key never leaves the environment; making another means making all certificates anew.
const CA_YEARS: i16 = 20;

/// How long a component's certificate is valid.
const CERTIFICATE_YEARS: i16 = 1;

/// The CA, able to sign.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    today: Date,
}

impl Authority {
    /// Makes the CA of a cluster and writes its files.
    pub(crate) fn create(layout: &Layout, cluster: &str, now: Timestamp) -> anyhow::Result<Self> {
        let today = date_of(now)?;
        let key = KeyPair::generate().context("no key for the CA can be made")?;
        let mut params = params(cluster, "CA", today, CA_YEARS)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params
            .self_signed(&key)
            .context("the CA's certificate can't be signed")?;
        let certificate_pem = certificate.pem();
        std::fs::write(layout.ca().join("ca.pem"), &certificate_pem).context("can't write ca/ca.pem")?;
        write_private(&layout.ca().join("ca-key.pem"), &key.serialize_pem())?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate_pem,
            today,
        })
    }

    /// The CA of an environment that exists, able to sign again.
    pub(crate) fn load(layout: &Layout, cluster: &str, now: Timestamp) -> anyhow::Result<Self> {
        let today = date_of(now)?;
        let read = |file: &str| {
            let path = layout.ca().join(file);
            std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))
        };
        let key = KeyPair::from_pem(&read("ca-key.pem")?).context("ca/ca-key.pem holds no key")?;
        // What an issuer's name and key identifier follow from is the same as when the CA was made.
        let params = params(cluster, "CA", today, CA_YEARS)?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate_pem: read("ca.pem")?,
            today,
        })
    }

    /// Makes the certificate of a component: its role and its name are its DNS names.
    pub(crate) fn certificate(&self, cluster: &str, role: Role, name: &str) -> anyhow::Result<Certificate> {
        let key = KeyPair::generate().with_context(|| format!("no key for {name} can be made"))?;
        let mut params = params(cluster, name, self.today, CERTIFICATE_YEARS)?;
        let mut names = vec![format!("{role}.tenon.internal")];
        if name != role.as_str() {
            names.push(format!("{name}.tenon.internal"));
        }
        params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .with_context(|| format!("the certificate of {name} can't be signed"))?;
        Ok(Certificate {
            ca: self.certificate_pem.clone(),
            chain: certificate.pem(),
            private_key: key.serialize_pem(),
        })
    }

    /// Makes the certificate of a component of this host and writes its files.
    pub(crate) fn issue(&self, layout: &Layout, cluster: &str, role: Role, name: &str) -> anyhow::Result<()> {
        self.certificate(cluster, role, name)?.write(layout, name)
    }
}

/// A component's certificate with its key, as PEM.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Certificate {
    /// The CA's certificate.
    pub(crate) ca: String,
    /// The component's certificate.
    chain: String,
    /// Its key.
    private_key: String,
}

impl Certificate {
    /// Writes the files where the component of this name looks for them.
    pub(crate) fn write(&self, layout: &Layout, name: &str) -> anyhow::Result<()> {
        let directory = layout.ca().join(name);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&directory)
            .with_context(|| format!("can't create {}", directory.display()))?;
        replace_private(&directory.join("key.pem"), &self.private_key)?;
        replace_private(&directory.join("cert.pem"), &self.chain)?;
        replace_private(&directory.join("ca.pem"), &self.ca)
    }
}

/// Writes beside the file and renames, so that a component that reads meanwhile gets the old one or the new one.
pub(super) fn replace_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let beside = path.with_extension("new");
    // Left over only if an earlier try was cut off.
    let _ = std::fs::remove_file(&beside);
    write_private(&beside, text)?;
    std::fs::rename(&beside, path).with_context(|| format!("can't replace {}", path.display()))
}

fn params(cluster: &str, name: &str, today: Date, years: i16) -> anyhow::Result<CertificateParams> {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, format!("Tenon cluster {cluster}"));
    subject.push(DnType::CommonName, name);
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    set_validity(&mut params, today, years)?;
    Ok(params)
}

/// Valid from today for so many years.
pub(super) fn set_validity(params: &mut CertificateParams, today: Date, years: i16) -> anyhow::Result<()> {
    // A day earlier, for hosts whose clocks differ.
    let (year, month, day) = parts(today.yesterday()?)?;
    params.not_before = date_time_ymd(year, month, day);
    let (year, month, day) = parts(today.checked_add(jiff::Span::new().years(years))?)?;
    params.not_after = date_time_ymd(year, month, day);
    Ok(())
}

fn parts(date: Date) -> anyhow::Result<(i32, u8, u8)> {
    Ok((
        i32::from(date.year()),
        u8::try_from(date.month())?,
        u8::try_from(date.day())?,
    ))
}

pub(super) fn date_of(now: Timestamp) -> anyhow::Result<Date> {
    let instant = jiff::Timestamp::from_millisecond(now.as_millis())?;
    Ok(instant.to_zoned(jiff::tz::TimeZone::UTC).date())
}

#[cfg(test)]
mod tests {
    use tenon_control::{Addresses, ControlClient, ControlError, ControlListener, ControlSettings, Identity};
    use tenon_model::{Clock as _, SystemClock};
    use tenon_protocol::control::{GetStatus, NoParams, Nothing};
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn a_renewed_certificate_is_trusted_by_those_that_were_not_renewed() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path().to_owned());
        std::fs::create_dir(layout.ca()).unwrap();
        let first = Authority::create(&layout, "c", SystemClock.now()).unwrap();
        first.issue(&layout, "c", Role::Server, "server1").unwrap();
        first.issue(&layout, "c", Role::Operator, "operator").unwrap();
        let before = std::fs::read(layout.ca().join("operator/cert.pem")).unwrap();
        let again = Authority::load(&layout, "c", SystemClock.now()).unwrap();
        again.issue(&layout, "c", Role::Operator, "operator").unwrap();
        assert_ne!(std::fs::read(layout.ca().join("operator/cert.pem")).unwrap(), before);

        let identity = |name: &str| Identity::load(&layout.ca().join("ca.pem"), &layout.ca().join(name)).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let settings = ControlSettings::default();
        let stop = CancellationToken::new();
        let server =
            ControlListener::new(listener, &identity("server1"), axum::Router::new(), settings.clone()).unwrap();
        tokio::spawn(server.run(stop.clone()));
        let addresses = Addresses::new(vec![address]);
        let client = ControlClient::new(&identity("operator"), Role::Server, addresses, settings).unwrap();
        let answer = client.call::<GetStatus>(&NoParams {}, &Nothing {}).await.unwrap_err();
        // The router is empty: an answer of 404 is one that came through both handshakes.
        assert!(
            matches!(&answer, ControlError::Problem(problem) if problem.status == 404),
            "{answer:?}"
        );
        stop.cancel();
    }
}
