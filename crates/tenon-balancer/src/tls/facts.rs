//! What a certificate says of itself: validity, subject and names. Nothing is verified here.

use std::fmt::Write as _;
use std::net::IpAddr;

use tenon_model::Timestamp;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::time::Time;

/// The facts of a certificate that are shown or matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    /// Its distinguished name as RFC 4514 writes it, in printable ASCII.
    pub(super) subject: String,
    /// Names and addresses it is for, lower case.
    pub(super) names: Vec<String>,
}

/// A certificate that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate can't be read")]
pub(super) struct Unreadable(#[from] x509_cert::der::Error);

impl Facts {
    /// Reads a certificate in DER.
    pub(super) fn of(certificate: &[u8]) -> Result<Self, Unreadable> {
        let certificate = Certificate::from_der(certificate)?.tbs_certificate;
        let names = certificate.get::<SubjectAltName>()?;
        Ok(Self {
            not_before: timestamp(certificate.validity.not_before),
            not_after: timestamp(certificate.validity.not_after),
            subject: ascii(&certificate.subject.to_string()),
            names: names.iter().flat_map(|(_, names)| &names.0).filter_map(name).collect(),
        })
    }
}

fn timestamp(time: Time) -> Timestamp {
    let millis = time.to_unix_duration().as_millis();
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => {
            let is_plain = name.as_str().bytes().all(|byte| byte.is_ascii_graphic());
            is_plain.then(|| name.as_str().to_ascii_lowercase())
        }
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// A distinguished name whose other characters are written as pairs of digits, which RFC 4514 allows and headers can carry.
fn ascii(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if c == ' ' || c.is_ascii_graphic() {
            out.push(c);
            continue;
        }
        let mut bytes = [0; 4];
        for byte in c.encode_utf8(&mut bytes).bytes() {
            // Writing to a string can't fail.
            let _ = write!(out, "\\{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};

    use super::*;

    fn certificate() -> Vec<u8> {
        let mut params = CertificateParams::new(vec![
            "A.example.com".to_owned(),
            "*.example.org".to_owned(),
            "::1".to_owned(),
        ])
        .unwrap();
        let mut name = DistinguishedName::new();
        name.push(DnType::CountryName, "MT");
        name.push(DnType::OrganizationName, "Smith, Söhne + Co");
        name.push(DnType::CommonName, " ann ");
        params.distinguished_name = name;
        params.not_before = date_time_ymd(1999, 12, 31);
        params.not_after = date_time_ymd(2096, 2, 29);
        params
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .to_vec()
    }

    #[test]
    fn a_certificate_is_read() {
        let facts = Facts::of(&certificate()).unwrap();
        assert_eq!(facts.not_before.as_millis(), 946_598_400_000);
        assert_eq!(facts.not_after.as_millis(), 3_981_312_000_000);
        assert_eq!(facts.names, ["a.example.com", "*.example.org", "::1"]);
        assert_eq!(facts.subject, r"CN=\ ann\ ,O=Smith\, S\C3\B6hne \+ Co,C=MT");
    }

    proptest! {
        #[test]
        fn damaged_certificates_are_an_error_or_read_but_never_a_panic(
            at in 0_usize..300, with in any::<u8>(), length in 0_usize..600,
        ) {
            let mut bytes = certificate();
            let index = at % bytes.len();
            bytes[index] = with;
            bytes.truncate(length);
            if let Ok(facts) = Facts::of(&bytes) {
                prop_assert!(facts.subject.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
            }
        }
    }
}
