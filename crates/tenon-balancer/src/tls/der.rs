//! What a certificate says of itself, read from its DER: validity, subject and names. Nothing is verified here.

use std::fmt::Write as _;
use std::net::IpAddr;

use tenon_model::Timestamp;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the certificate can't be read")]
pub(super) struct Unreadable;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// The elements of a constructed value, one after the other.
#[derive(Debug, Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next element's tag and content.
    fn next(&mut self) -> Result<(u8, &'a [u8]), Unreadable> {
        let [tag, first, rest @ ..] = self.0 else {
            return Err(Unreadable);
        };
        let (length, rest) = match *first {
            length @ 0..=0x7f => (usize::from(length), rest),
            count @ 0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(count & 0x7f)).ok_or(Unreadable)?;
                (
                    bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
                    rest,
                )
            }
            _ => return Err(Unreadable),
        };
        let (content, rest) = rest.split_at_checked(length).ok_or(Unreadable)?;
        self.0 = rest;
        Ok((*tag, content))
    }

    fn take(&mut self, wanted: u8) -> Result<&'a [u8], Unreadable> {
        match self.next()? {
            (tag, content) if tag == wanted => Ok(content),
            _ => Err(Unreadable),
        }
    }

    fn skip_if(&mut self, tag: u8) -> Result<(), Unreadable> {
        if self.0.first() == Some(&tag) {
            self.next()?;
        }
        Ok(())
    }

    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads a certificate.
pub(super) fn read(certificate: &[u8]) -> Result<Facts, Unreadable> {
    let mut certificate = Reader(Reader(certificate).take(SEQUENCE)?);
    let mut body = Reader(certificate.take(SEQUENCE)?);
    body.skip_if(VERSION)?;
    body.take(INTEGER)?;
    body.take(SEQUENCE)?;
    body.take(SEQUENCE)?;
    let mut validity = Reader(body.take(SEQUENCE)?);
    let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
    let subject = subject(body.take(SEQUENCE)?)?;
    body.take(SEQUENCE)?;
    let mut names = Vec::new();
    while !body.is_empty() {
        if let (EXTENSIONS, extensions) = body.next()? {
            names = alternative_names(Reader(extensions).take(SEQUENCE)?)?;
        }
    }
    Ok(Facts {
        not_before,
        not_after,
        subject,
        names,
    })
}

fn alternative_names(extensions: &[u8]) -> Result<Vec<String>, Unreadable> {
    let mut extensions = Reader(extensions);
    let mut found = Vec::new();
    while !extensions.is_empty() {
        let mut extension = Reader(extensions.take(SEQUENCE)?);
        if extension.take(OBJECT_ID)? != SUBJECT_ALT_NAME {
            continue;
        }
        while !extension.is_empty() {
            let (OCTET_STRING, value) = extension.next()? else {
                continue;
            };
            let mut names = Reader(Reader(value).take(SEQUENCE)?);
            while !names.is_empty() {
                found.extend(alternative_name(names.next()?));
            }
        }
    }
    Ok(found)
}

fn alternative_name((tag, value): (u8, &[u8])) -> Option<String> {
    match (tag, value.len()) {
        (DNS_NAME, _) => {
            let text = std::str::from_utf8(value).ok()?;
            text.bytes()
                .all(|byte| byte.is_ascii_graphic())
                .then(|| text.to_ascii_lowercase())
        }
        (IP_ADDRESS, 4) => Some(IpAddr::from(*value.first_chunk::<4>()?).to_string()),
        (IP_ADDRESS, 16) => Some(IpAddr::from(*value.first_chunk::<16>()?).to_string()),
        _ => None,
    }
}

/// Reads `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time((tag, text): (u8, &[u8])) -> Result<Timestamp, Unreadable> {
    let text = text.strip_suffix(b"Z").ok_or(Unreadable)?;
    if !text.iter().all(u8::is_ascii_digit) {
        return Err(Unreadable);
    }
    let number = |digits: &[u8]| digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let (year, rest) = match (tag, text.len()) {
        // RFC 5280: two digits mean 1950 to 2049.
        (UTC_TIME, 12) => match number(&text[..2]) {
            year @ 0..50 => (2000 + year, &text[2..]),
            year => (1900 + year, &text[2..]),
        },
        (GENERALIZED_TIME, 14) => (number(&text[..4]), &text[4..]),
        _ => return Err(Unreadable),
    };
    let part = |at: usize| number(&rest[at..at + 2]);
    let (month, day) = (part(0), part(2));
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(Unreadable);
    }
    let seconds = part(4) * 3600 + part(6) * 60 + part(8);
    let millis = (days_since_1970(year, month, day) * 86_400 + seconds) * 1000;
    Ok(Timestamp::from_millis(millis))
}

/// Days of the Gregorian calendar, counted in years that begin in March, so that the leap day is a year's last.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

/// A distinguished name in the order of RFC 4514: the last part first.
fn subject(name: &[u8]) -> Result<String, Unreadable> {
    let mut reader = Reader(name);
    let mut parts = Vec::new();
    while !reader.is_empty() {
        let mut set = Reader(reader.take(SET)?);
        let mut part = String::new();
        while !set.is_empty() {
            let mut attribute = Reader(set.take(SEQUENCE)?);
            if !part.is_empty() {
                part.push('+');
            }
            part.push_str(&attribute_type(attribute.take(OBJECT_ID)?));
            part.push('=');
            attribute_value(attribute.next()?, &mut part);
        }
        parts.push(part);
    }
    parts.reverse();
    Ok(parts.join(","))
}

fn attribute_type(id: &[u8]) -> String {
    let known = match id {
        [0x55, 4, 3] => "CN",
        [0x55, 4, 5] => "serialNumber",
        [0x55, 4, 6] => "C",
        [0x55, 4, 7] => "L",
        [0x55, 4, 8] => "ST",
        [0x55, 4, 9] => "STREET",
        [0x55, 4, 10] => "O",
        [0x55, 4, 11] => "OU",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19] => "DC",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01] => "UID",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01] => "emailAddress",
        _ => return dotted(id),
    };
    known.to_owned()
}

fn dotted(id: &[u8]) -> String {
    let mut text = String::new();
    let mut number = 0_u64;
    for byte in id {
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            // Writing to a string can't fail.
            let _ = if text.is_empty() {
                let first = (number / 40).min(2);
                write!(text, "{first}.{}", number - first * 40)
            } else {
                write!(text, ".{number}")
            };
            number = 0;
        }
    }
    text
}

/// Appends a value so that no reader can mistake where it ends.
fn attribute_value((tag, value): (u8, &[u8]), out: &mut String) {
    const UTF8: u8 = 0x0c;
    const PRINTABLE: u8 = 0x13;
    const TELETEX: u8 = 0x14;
    const IA5: u8 = 0x16;
    const BMP: u8 = 0x1e;
    let text = match tag {
        UTF8 | PRINTABLE | IA5 => String::from_utf8_lossy(value).into_owned(),
        TELETEX => value.iter().copied().map(char::from).collect(),
        BMP => {
            let units: Vec<u16> = value
                .chunks_exact(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
                .collect();
            String::from_utf16_lossy(&units)
        }
        _ => {
            out.push('#');
            for byte in value {
                let _ = write!(out, "{byte:02x}");
            }
            return;
        }
    };
    let last = text.len().saturating_sub(1);
    for (at, c) in text.char_indices() {
        let edge = (c == ' ' && (at == 0 || at == last)) || (c == '#' && at == 0);
        if edge || matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=') {
            out.push('\\');
            out.push(c);
        } else if c == ' ' || c.is_ascii_graphic() {
            out.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                let _ = write!(out, "\\{byte:02X}");
            }
        }
    }
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
        let facts = read(&certificate()).unwrap();
        assert_eq!(facts.not_before.as_millis(), 946_598_400_000);
        assert_eq!(facts.not_after.as_millis(), 3_981_312_000_000);
        assert_eq!(facts.names, ["a.example.com", "*.example.org", "::1"]);
        assert_eq!(facts.subject, r"CN=\ ann\ ,O=Smith\, S\C3\B6hne \+ Co,C=MT");
    }

    #[test]
    fn object_ids_without_a_name_are_numbers() {
        assert_eq!(dotted(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]), "1.2.840.113549");
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
            if let Ok(facts) = read(&bytes) {
                prop_assert!(facts.subject.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
            }
        }
    }
}
