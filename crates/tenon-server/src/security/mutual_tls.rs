//! The kind `mutual-tls`: a client known by its certificate, which whoever ends TLS has verified.
//!
//! The load balancer (or another proxy that is listed as trusted) puts three headers on a request and removes them from what
//! comes from outside: `X-Tenon-Client-Cert-Verified` (`1`, `true`, `yes` or `SUCCESS`), `X-Tenon-Client-Cert-Fingerprint` (SHA-256 of
//! the certificate in hexadecimal) and `X-Tenon-Client-Cert-Subject` (its distinguished name).

use http::header::HeaderMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenon_model::{FieldProblem, KindConfig, KindGroup};

const VERIFIED: &str = "x-tenon-client-cert-verified";
const FINGERPRINT: &str = "x-tenon-client-cert-fingerprint";
const SUBJECT: &str = "x-tenon-client-cert-subject";

/// SHA-256 of a certificate.
pub(super) type Fingerprint = [u8; 32];

/// A client that is known by its TLS certificate, which the load balancer has verified.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MutualTlsConfig {
    /// SHA-256 fingerprints of the certificates that are accepted, in hexadecimal, with or without colons. Empty: any
    /// certificate that was verified and whose subject fits.
    #[serde(default)]
    pub fingerprints: Vec<String>,
    /// Distinguished names of the certificates that are accepted, such as `CN=partner,O=Example,C=MT`. Empty: any certificate
    /// whose fingerprint fits.
    #[serde(default)]
    pub subjects: Vec<String>,
    /// The `rate-limit` object that says how many requests may come with these certificates.
    #[schemars(extend("x-tenon-reference" = ["rate-limit"]))]
    pub rate_limit: Option<String>,
}

impl KindConfig for MutualTlsConfig {
    const NAME: &'static str = "mutual-tls";
    const TITLE: &'static str = "Client certificate";
    const GROUP: KindGroup = KindGroup::Security;

    fn check(&self) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        if self.fingerprints.is_empty() && self.subjects.is_empty() {
            problems.push(FieldProblem::new(
                "fingerprints",
                "name at least one fingerprint or one subject",
            ));
        }
        for (index, text) in self.fingerprints.iter().enumerate() {
            if read_fingerprint(text).is_none() && !text.contains("${") {
                problems.push(FieldProblem::new(
                    format!("fingerprints[{index}]"),
                    "a fingerprint is SHA-256 in hexadecimal: 64 digits, with or without colons",
                ));
            }
        }
        for (index, text) in self.subjects.iter().enumerate() {
            if read_subject(text).is_empty() {
                problems.push(FieldProblem::new(
                    format!("subjects[{index}]"),
                    "a subject is a distinguished name such as CN=partner,O=Example",
                ));
            }
        }
        problems
    }
}

impl MutualTlsConfig {
    /// Whether this is one of the certificates that are accepted.
    pub(super) fn accepts(&self, certificate: &Certificate) -> bool {
        let of_fingerprint = self.fingerprints.is_empty()
            || self
                .fingerprints
                .iter()
                .any(|text| read_fingerprint(text).is_some_and(|known| Some(known) == certificate.fingerprint));
        let of_subject = self.subjects.is_empty()
            || (!certificate.subject.is_empty()
                && self
                    .subjects
                    .iter()
                    .any(|text| read_subject(text) == read_subject(&certificate.subject)));
        of_fingerprint && of_subject
    }
}

/// A client's certificate, as whoever ended TLS describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) fingerprint: Option<Fingerprint>,
    /// Its distinguished name as it came; empty if none did.
    pub(super) subject: String,
}

impl Certificate {
    /// The verified certificate that a trusted proxy's headers tell of. A header that comes twice tells nothing.
    pub(super) fn told_by(headers: &HeaderMap) -> Option<Self> {
        let one = |name: &str| {
            let mut values = headers.get_all(name).iter();
            let value = values.next()?.to_str().ok()?.trim();
            values.next().is_none().then_some(value)
        };
        let verified = one(VERIFIED)?;
        let is_verified = ["1", "true", "yes", "success"]
            .iter()
            .any(|word| verified.eq_ignore_ascii_case(word));
        if !is_verified {
            return None;
        }
        let certificate = Self {
            fingerprint: one(FINGERPRINT).and_then(read_fingerprint),
            subject: one(SUBJECT).unwrap_or_default().to_owned(),
        };
        (certificate.fingerprint.is_some() || !certificate.subject.is_empty()).then_some(certificate)
    }

    /// Its fingerprint in lower-case hexadecimal; empty if none came.
    pub(super) fn fingerprint_text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for byte in self.fingerprint.into_iter().flatten() {
            // Writing to a string can't fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

/// Reads `AB:CD:…` or `abcd…`.
pub(super) fn read_fingerprint(text: &str) -> Option<Fingerprint> {
    let mut digits = text.trim().chars().filter(|c| *c != ':').map(|c| c.to_digit(16));
    let mut fingerprint = [0; 32];
    for byte in &mut fingerprint {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    digits.next().is_none().then_some(fingerprint)
}

/// The parts of a distinguished name in their order: types in lower case, no space around them. A comma or plus sign that a
/// backslash precedes, or that stands between quotes, belongs to a value. The forms of RFC 4514 (`CN=a,O=b`) and of OpenSSL
/// (`/CN=a/O=b`) are read alike.
pub(super) fn read_subject(text: &str) -> Vec<(String, String)> {
    let text = text.trim();
    let (text, separators) = match text.strip_prefix('/') {
        Some(rest) => (rest, ['/', '/']),
        None => (text, [',', '+']),
    };
    let mut parts = vec![String::new()];
    let (mut escaped, mut quoted) = (false, false);
    for c in text.chars() {
        let splits = separators.contains(&c) && !escaped && !quoted;
        match parts.last_mut() {
            Some(part) if !splits => part.push(c),
            _ => parts.push(String::new()),
        }
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
    }
    let read = parts.iter().map(|part| {
        let (kind, value) = part.split_once('=')?;
        let (kind, value) = (kind.trim(), value.trim());
        (!kind.is_empty()).then(|| (kind.to_ascii_lowercase(), value.to_owned()))
    });
    read.collect::<Option<Vec<_>>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn told(pairs: &[(&'static str, &str)]) -> Option<Certificate> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        Certificate::told_by(&headers)
    }

    #[test]
    fn only_a_verified_certificate_is_one() {
        let print = "AB:".repeat(32);
        let print = print.trim_end_matches(':');
        let known = told(&[(VERIFIED, "SUCCESS"), (FINGERPRINT, print), (SUBJECT, "CN=a")]).unwrap();
        assert_eq!(known.fingerprint, Some([0xab; 32]));
        assert_eq!(known.fingerprint_text(), "ab".repeat(32));
        assert_eq!(told(&[(VERIFIED, "0"), (FINGERPRINT, print)]), None);
        assert_eq!(told(&[(FINGERPRINT, print)]), None);
        assert_eq!(told(&[(VERIFIED, "1")]), None);
        assert_eq!(told(&[(VERIFIED, "1"), (VERIFIED, "1"), (FINGERPRINT, print)]), None);
    }

    #[test]
    fn subjects_are_the_same_whatever_their_spaces() {
        assert_eq!(
            read_subject("CN=Ann\\, B., O = Example"),
            read_subject("cn=Ann\\, B.,o=Example")
        );
        assert_eq!(read_subject("/C=MT/CN=a"), read_subject("C=MT, CN=a"));
        assert_ne!(read_subject("CN=a,O=b"), read_subject("O=b,CN=a"));
        assert_ne!(read_subject("CN=a"), read_subject("CN=A"));
        assert_eq!(read_subject("O=\"a,b\"").len(), 1);
        assert!(read_subject("no name").is_empty() && read_subject("").is_empty());
    }

    #[test]
    fn what_a_definition_names_must_fit() {
        let config = |fingerprints: &[&str], subjects: &[&str]| MutualTlsConfig {
            fingerprints: fingerprints.iter().map(|text| (*text).to_owned()).collect(),
            subjects: subjects.iter().map(|text| (*text).to_owned()).collect(),
            rate_limit: None,
        };
        let print = "01".repeat(32);
        let other = "02".repeat(32);
        let certificate = told(&[(VERIFIED, "1"), (FINGERPRINT, &print), (SUBJECT, "CN=a")]).unwrap();
        for (known, expected) in [
            (config(&[&print], &[]), true),
            (config(&[&other], &[]), false),
            (config(&[&other, &print], &["CN=a"]), true),
            (config(&[&print], &["CN=b"]), false),
            (config(&[], &["CN=b", "CN=a"]), true),
        ] {
            assert_eq!(known.accepts(&certificate), expected, "{known:?}");
        }
        assert!(!config(&[], &[]).check().is_empty());
        assert!(!config(&["12"], &[]).check().is_empty());
        assert!(!config(&[], &["x"]).check().is_empty());
    }
}
