//! Headers as they are, and nearly so.

use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

use super::*;

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = v2::SIGNATURE.to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    bytes.extend(rest);
    bytes
}

const IPV4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0, 80];

fn ipv6() -> Vec<u8> {
    let mut bytes = "2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec();
    bytes.extend([0; 16]);
    bytes.extend([0x30, 0x39, 0, 80]);
    bytes
}

#[test]
fn headers_say_who_the_client_is() {
    let long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(91));
    let extra = [&IPV4[..], &[1, 0, 2, b'h', b'2'], &[4, 0, 0]].concat();
    for (bytes, client) in [
        (
            b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 80\r\n".to_vec(),
            Some("192.0.2.7:12345"),
        ),
        (
            b"PROXY TCP6 2001:db8::7 ::1 12345 80\r\n".to_vec(),
            Some("[2001:db8::7]:12345"),
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (long.into_bytes(), None),
        (v2(0x21, 0x11, &IPV4), Some("192.0.2.7:12345")),
        (v2(0x21, 0x11, &extra), Some("192.0.2.7:12345")),
        (v2(0x21, 0x21, &ipv6()), Some("[2001:db8::7]:12345")),
        (v2(0x20, 0x00, b"anything"), None),
        (v2(0x21, 0x00, b""), None),
    ] {
        let mut more = bytes.clone();
        more.extend(b"GET / HTTP/1.1\r\n");
        let header = Header {
            client: client.map(|text| text.parse().unwrap()),
            bytes: bytes.len(),
        };
        assert_eq!(parse(&more), Ok(Found::Header(header)), "{}", bytes.escape_ascii());
        for length in 1..bytes.len() {
            assert_eq!(
                parse(&bytes[..length]),
                Ok(Found::Part),
                "{} of {}",
                length,
                bytes.escape_ascii()
            );
        }
    }
}

#[test]
fn what_is_nearly_a_header_is_none() {
    let long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(92));
    let cut = [&IPV4[..], &[1, 0, 2, b'h']].concat();
    for bytes in [
        b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 80\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 12345\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 80 \r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7  10.0.0.1 12345 80\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.07 10.0.0.1 12345 80\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 012345 80\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 +1 80\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 99999 80\r\n".to_vec(),
        b"PROXY TCP4 ::1 ::1 1 80\r\n".to_vec(),
        b"PROXY TCP6 1.2.3.4 ::1 1 80\r\n".to_vec(),
        b"PROXY UDP4 192.0.2.7 10.0.0.1 1 80\r\n".to_vec(),
        b"PROXY tcp4 192.0.2.7 10.0.0.1 1 80\r\n".to_vec(),
        b"PROXY \r\n".to_vec(),
        long.into_bytes(),
        v2(0x22, 0x11, &IPV4),
        v2(0x11, 0x11, &IPV4),
        v2(0x21, 0x12, &IPV4),
        v2(0x21, 0x31, &[0; 216]),
        v2(0x21, 0x11, &IPV4[..11]),
        v2(0x21, 0x21, &ipv6()[..35]),
        v2(0x21, 0x11, &cut),
        v2(0x21, 0x11, &[0; 3000]),
    ] {
        assert!(parse(&bytes).is_err(), "{}", bytes.escape_ascii());
    }
    for bytes in ["GET / HTTP/1.1", "PROX1", "proxy TCP4", "\r\nGET", "\x16\x03\x01"] {
        assert_eq!(parse(bytes.as_bytes()), Ok(Found::Other), "{bytes}");
    }
}

proptest! {
    #[test]
    fn more_bytes_never_change_what_was_decided(
        start in prop::sample::select(vec![
            Vec::new(),
            b"PROXY ".to_vec(),
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r".to_vec(),
            v2(0x21, 0x11, &IPV4),
            v2::SIGNATURE.to_vec(),
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..60),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = start;
        bytes.extend(rest);
        let part = parse(&bytes[..cut.index(bytes.len() + 1)]);
        match part {
            Ok(Found::Part) => {}
            Ok(Found::Other) if cut.index(bytes.len() + 1) == 0 => {}
            decided => prop_assert_eq!(decided, parse(&bytes)),
        }
        if let Ok(Found::Header(header)) = part {
            prop_assert!(header.bytes <= bytes.len());
        }
    }
}
