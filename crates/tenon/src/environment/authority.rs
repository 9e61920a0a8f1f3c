//! The cluster's CA, and the certificates by which its components know each other.

use std::os::unix::fs::DirBuilderExt as _;

use anyhow::Context as _;
use jiff::civil::Date;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
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

    /// Makes the certificate of a component and writes its files: its role and its name are its DNS names.
    pub(crate) fn issue(&self, layout: &Layout, cluster: &str, role: Role, name: &str) -> anyhow::Result<()> {
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
        let directory = layout.ca().join(name);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .with_context(|| format!("can't create {}", directory.display()))?;
        write_private(&directory.join("cert.pem"), &certificate.pem())?;
        write_private(&directory.join("key.pem"), &key.serialize_pem())?;
        write_private(&directory.join("ca.pem"), &self.certificate_pem)
    }
}

fn params(cluster: &str, name: &str, today: Date, years: i16) -> anyhow::Result<CertificateParams> {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, format!("Tenon cluster {cluster}"));
    subject.push(DnType::CommonName, name);
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    // A day earlier, for hosts whose clocks differ.
    let (year, month, day) = parts(today.yesterday()?)?;
    params.not_before = date_time_ymd(year, month, day);
    let (year, month, day) = parts(today.checked_add(jiff::Span::new().years(years))?)?;
    params.not_after = date_time_ymd(year, month, day);
    Ok(params)
}

fn parts(date: Date) -> anyhow::Result<(i32, u8, u8)> {
    Ok((
        i32::from(date.year()),
        u8::try_from(date.month())?,
        u8::try_from(date.day())?,
    ))
}

fn date_of(now: Timestamp) -> anyhow::Result<Date> {
    let instant = jiff::Timestamp::from_millisecond(now.as_millis())?;
    Ok(instant.to_zoned(jiff::tz::TimeZone::UTC).date())
}
