//! Version 2: binary, with further facts that are checked in form and not used.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Found, HEADER_BYTES_MAX, Header, Malformed};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const FIXED_BYTES: usize = 16;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

pub(super) fn parse(bytes: &[u8]) -> Result<Found, Malformed> {
    if bytes.len() < FIXED_BYTES {
        return Ok(Found::Part);
    }
    let (command, family) = (bytes[12], bytes[13]);
    if command != LOCAL && command != PROXY {
        return Err(Malformed("version and command are not known"));
    }
    let length = FIXED_BYTES + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if length > HEADER_BYTES_MAX {
        return Err(Malformed("it is too long"));
    }
    let Some(rest) = bytes.get(FIXED_BYTES..length) else {
        return Ok(Found::Part);
    };
    let client = if command == LOCAL {
        None
    } else {
        client_of(family, rest)?
    };
    Ok(Found::Header(Header { client, bytes: length }))
}

fn client_of(family: u8, rest: &[u8]) -> Result<Option<SocketAddr>, Malformed> {
    const SHORT: Malformed = Malformed("the addresses are cut off");
    let (address, port, extras) = match family {
        TCP_OVER_IPV4 => {
            let (addresses, extras) = rest.split_first_chunk::<12>().ok_or(SHORT)?;
            let [a, b, c, d, _, _, _, _, port @ .., _, _] = *addresses;
            (IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port, extras)
        }
        TCP_OVER_IPV6 => {
            let (addresses, extras) = rest.split_first_chunk::<36>().ok_or(SHORT)?;
            let (source, behind) = addresses.split_first_chunk::<16>().ok_or(SHORT)?;
            (
                IpAddr::V6(Ipv6Addr::from_octets(*source)),
                [behind[16], behind[17]],
                extras,
            )
        }
        // Unspecified: the proxy does not know. Sockets of other kinds can't have connected to ours.
        0x00 => return Ok(None),
        _ => return Err(Malformed("the kind of addresses is not known")),
    };
    check_extras(extras)?;
    Ok(Some(SocketAddr::new(address, u16::from_be_bytes(port))))
}

/// Type, length and value, again and again to the end.
fn check_extras(mut extras: &[u8]) -> Result<(), Malformed> {
    while !extras.is_empty() {
        let value = extras
            .split_first_chunk::<3>()
            .and_then(|([_, high, low], rest)| rest.get(usize::from(u16::from_be_bytes([*high, *low]))..));
        extras = value.ok_or(Malformed("what follows the addresses is cut off"))?;
    }
    Ok(())
}
