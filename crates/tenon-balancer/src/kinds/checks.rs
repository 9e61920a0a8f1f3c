//! What several kinds check alike.

use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tenon_model::{DurationText, FieldProblem, Network};

use crate::rules::PathPattern;

/// The problems of an object as they gather.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<FieldProblem>);

impl From<Problems> for Vec<FieldProblem> {
    fn from(problems: Problems) -> Self {
        problems.0
    }
}

impl Problems {
    pub(super) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldProblem::new(field, message));
    }

    pub(super) fn add_if(&mut self, is_wrong: bool, field: impl Into<String>, message: &str) {
        if is_wrong {
            self.add(field, message);
        }
    }

    /// A time that is given must be longer than nothing and at most so long.
    pub(super) fn duration(&mut self, field: &str, given: Option<DurationText>, max: Duration) {
        if given.is_some_and(|given| given.0.is_zero() || given.0 > max) {
            self.add(field, format!("longer than 0s, at most {}", DurationText(max)));
        }
    }

    pub(super) fn networks(&mut self, field: &str, texts: &[String]) {
        for (index, text) in texts.iter().enumerate() {
            if let Err(error) = text.parse::<Network>() {
                self.add(format!("{field}[{index}]"), error.to_string());
            }
        }
    }

    /// A header that is set must not be one that requests are understood or trusted by.
    pub(super) fn header_to_set(&mut self, field: &str, name: &str) {
        if !is_token(name) {
            self.add(field, "the name of a header is letters, digits and dashes");
        } else if is_reserved(name) {
            self.add(field, "the load balancer sets this header itself");
        }
    }
}

/// Whether a text can be the name of a header (RFC 9110, token).
pub(super) fn is_token(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(is_allowed)
}

/// Headers by which messages are framed, or that say who the client is.
fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let starts = ["x-tenon-", "x-forwarded-", "proxy-"];
    let names = [
        "connection",
        "content-length",
        "expect",
        "forwarded",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    names.contains(&name.as_str()) || starts.iter().any(|start| name.starts_with(start))
}

/// Whether a text is the name of a host, an address, or `*.` and a name.
pub(super) fn is_host_pattern(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    if name.parse::<std::net::IpAddr>().is_ok() {
        return name == text;
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// What is wrong with a path of a rule: `/customers/{id}`, `/files/{rest*}`, `/reports/*`.
pub(super) fn check_path(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') {
        return Err("a path begins with /, such as /customers/{id} or /reports/*");
    }
    if path.chars().any(|c| c.is_control() || "?# ".contains(c)) {
        return Err("a path has no spaces, no ? and no #");
    }
    let whole = path;
    let path = path.strip_suffix('*').unwrap_or(path);
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let mut rest = segment;
        while let Some(open) = rest.find(['{', '}', '*']) {
            let (character, after) = rest[open..].split_at(1);
            if character != "{" {
                return Err("* stands at the end or in a parameter, and each } follows a {");
            }
            let close = after.find('}').ok_or("each { needs a } in the same segment")?;
            let (name, is_rest) = match after[..close].strip_suffix('*') {
                Some(name) => (name, true),
                None => (&after[..close], false),
            };
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err("the name of a parameter is letters, digits and underscores");
            }
            rest = &after[close + 1..];
            if is_rest && (!rest.is_empty() || segments.peek().is_some()) {
                return Err("a parameter that takes the rest stands at the end");
            }
        }
    }
    PathPattern::parse(whole)
        .map(drop)
        .map_err(|_| "two parameters need something between them, and so do a parameter and *")
}

/// The certificates in a PEM text; at least one.
pub(super) fn certificates_of(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => {
            Err("there is no certificate in it; PEM begins with -----BEGIN CERTIFICATE-----".to_owned())
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(format!("the PEM can't be read: {error}")),
    }
}

/// What is wrong with a certificate and its key, and in which field. Without the key, which may be kept elsewhere, only the
/// certificate is looked at.
pub(super) fn check_pair(certificate: &str, key: Option<&str>) -> Result<(), (&'static str, String)> {
    let certificates = certificates_of(certificate).map_err(|message| ("certificate", message))?;
    let end_entity = rustls::server::ParsedCertificate::try_from(&certificates[0]);
    end_entity.map_err(|error| ("certificate", format!("the certificate can't be read: {error}")))?;
    let Some(key) = key else { return Ok(()) };
    let in_key = |message: String| ("private_key", message);
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| {
        in_key(format!(
            "there is no private key in it that can be read as PEM: {error}"
        ))
    })?;
    let provider = rustls::crypto::ring::default_provider();
    rustls::sign::CertifiedKey::from_der(certificates, key, &provider)
        .map(drop)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => in_key("this is not the key of the certificate".to_owned()),
            other => in_key(format!("the private key can't be used: {other}")),
        })
}
