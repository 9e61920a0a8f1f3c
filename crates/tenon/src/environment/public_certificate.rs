//! The self-signed certificate that a load balancer shows to clients until somebody gives it another.

use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt as _;

use anyhow::Context as _;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tenon_model::Timestamp;

use super::authority::{date_of, replace_private, set_validity};
use super::layout::Layout;

/// How long it is valid.
const YEARS: i16 = 1;

/// Makes a certificate with its key for this host and the address that is listened on.
pub(crate) fn create(layout: &Layout, name: &str, address: IpAddr, now: Timestamp) -> anyhow::Result<()> {
    let (certificate_file, key_file) = (layout.public_certificate(name), layout.public_key(name));
    let directory = certificate_file.parent().unwrap_or_else(|| layout.root());
    std::fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(directory)
        .with_context(|| format!("can't create {}", directory.display()))?;
    let key = KeyPair::generate().context("no key for HTTPS can be made")?;
    let certificate = params(address, now)?
        .self_signed(&key)
        .context("the certificate for HTTPS can't be signed")?;
    let certificate = certificate.pem();
    replace_private(&key_file, &key.serialize_pem())?;
    replace_private(&certificate_file, &certificate)?;
    // By this copy it is known later whether the certificate is still the one that was made here.
    replace_private(&directory.join(SELF_SIGNED), &certificate)
}

/// Makes the certificate anew if it is one of ours and older than `age`; true if so.
pub(crate) fn renew(
    layout: &Layout,
    name: &str,
    address: IpAddr,
    now: Timestamp,
    is_old: impl Fn(&std::path::Path) -> bool,
) -> anyhow::Result<bool> {
    let file = layout.public_certificate(name);
    let Ok(certificate) = std::fs::read(&file) else {
        return Ok(false);
    };
    let is_ours = std::fs::read(file.with_file_name(SELF_SIGNED)).is_ok_and(|made| made == certificate);
    if !is_ours || !is_old(&file) {
        return Ok(false);
    }
    create(layout, name, address, now)?;
    Ok(true)
}

const SELF_SIGNED: &str = "self-signed.pem";

fn params(address: IpAddr, now: Timestamp) -> anyhow::Result<CertificateParams> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if let Some(host) = host_name() {
        names.push(host);
    }
    if !address.is_unspecified() && !address.is_loopback() {
        names.push(address.to_string());
    }
    names.sort_unstable();
    names.dedup();
    let mut params = CertificateParams::new(names)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, "Tenon");
    subject.push(DnType::CommonName, "self-signed certificate of a load balancer");
    params.distinguished_name = subject;
    set_validity(&mut params, date_of(now)?, YEARS)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

/// This host's name, if it can stand in a certificate.
fn host_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = text.trim().to_ascii_lowercase();
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    is_name.then_some(name)
}
