//! As much of DER and PEM as it takes to find a public key: in a `PUBLIC KEY` (RFC 5280), an `RSA PUBLIC KEY` (RFC 8017) or a
//! `CERTIFICATE`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_ID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// A public key as it stands in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RawKey<'a> {
    Rsa { modulus: &'a [u8], exponent: &'a [u8] },
    P256(&'a [u8]),
    P384(&'a [u8]),
    Ed25519(&'a [u8]),
}

/// The label and the bytes of the first section of a PEM text.
pub(super) fn read_pem(text: &str) -> Option<(String, Vec<u8>)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    Some((label.to_owned(), STANDARD.decode(body).ok()?))
}

/// The public key in a section of this label.
pub(super) fn read_key<'a>(label: &str, bytes: &'a [u8]) -> Option<RawKey<'a>> {
    match label {
        "PUBLIC KEY" => key_of_info(Reader(bytes).take(SEQUENCE)?),
        "RSA PUBLIC KEY" => rsa_key(bytes),
        "CERTIFICATE" => {
            let signed = Reader(bytes).take(SEQUENCE)?;
            let mut body = Reader(Reader(signed).take(SEQUENCE)?);
            if body.0.first() == Some(&VERSION) {
                body.take(VERSION)?;
            }
            body.take(INTEGER)?;
            // Signature algorithm, issuer, validity, subject.
            for _ in 0..4 {
                body.take(SEQUENCE)?;
            }
            key_of_info(body.take(SEQUENCE)?)
        }
        _ => None,
    }
}

fn key_of_info(info: &[u8]) -> Option<RawKey<'_>> {
    let mut info = Reader(info);
    let mut algorithm = Reader(info.take(SEQUENCE)?);
    let kind = algorithm.take(OBJECT_ID)?;
    let key = info.take(BIT_STRING)?.strip_prefix(&[0])?;
    match kind {
        RSA => rsa_key(key),
        ED25519 => Some(RawKey::Ed25519(key)),
        EC => match algorithm.take(OBJECT_ID)? {
            P256 => Some(RawKey::P256(key)),
            P384 => Some(RawKey::P384(key)),
            _ => None,
        },
        _ => None,
    }
}

fn rsa_key(bytes: &[u8]) -> Option<RawKey<'_>> {
    let mut numbers = Reader(Reader(bytes).take(SEQUENCE)?);
    let modulus = numbers.take(INTEGER)?;
    let exponent = numbers.take(INTEGER)?;
    Some(RawKey::Rsa { modulus, exponent })
}

/// Reads one element after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The content of the next element, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            0x81..=0x83 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x0f))?;
                let length = digits.iter().fold(0, |sum, digit| (sum << 8) | usize::from(*digit));
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (*found == tag).then_some(content)
    }
}
