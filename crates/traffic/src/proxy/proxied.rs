//! The PROXY protocol, versions 1 and 2: whom a load balancer in front speaks for.
//!
//! Read as <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt> defines it. `LOCAL`,
//! `UNKNOWN` and families other than IPv4 and IPv6 speak for nobody: the connection is the
//! balancer's own. Additional fields of version 2 are passed over, its checksum too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest header of version 1, its line end included.
const TEXT_BYTES: usize = 107;
/// Longest header of version 2 that is taken; addresses need 52, the rest is additional.
const BINARY_BYTES: usize = 2 * 1024;
/// How a header of version 2 begins.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What the bytes seen so far are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// Not all of a header yet.
    Partial,
    /// A whole header of so many bytes, and the client, unless it speaks for nobody.
    Whole(usize, Option<SocketAddr>),
    /// No header.
    Malformed,
}

/// Reads a header at the start of `bytes`.
pub(crate) fn read(bytes: &[u8]) -> Header {
    let begins = |with: &[u8]| {
        let both = bytes.len().min(with.len());
        bytes.get(..both) == with.get(..both)
    };
    let read = if begins(SIGNATURE) {
        binary(bytes)
    } else if begins(b"PROXY ") {
        text(bytes)
    } else {
        None
    };
    read.unwrap_or(Header::Malformed)
}

/// Version 1: one line of text. `None` where it is malformed.
fn text(bytes: &[u8]) -> Option<Header> {
    let line = bytes.get(..bytes.len().min(TEXT_BYTES))?;
    let Some(end) = memchr::memmem::find(line, b"\r\n") else {
        return (bytes.len() < TEXT_BYTES).then_some(Header::Partial);
    };
    let text = std::str::from_utf8(line.get(..end)?).ok()?;
    let whole = |client| Header::Whole(end.saturating_add(2), client);
    let mut words = text.split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(whole(None));
    }
    let (from, to) = (words.next()?, words.next()?);
    let (port, to_port) = (words.next()?, words.next()?);
    let ip = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let port_of = |text: &str| {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let canonical = text.len() == 1 || !text.starts_with('0');
        (plain && canonical).then(|| text.parse::<u16>().ok()).flatten()
    };
    let client = SocketAddr::new(ip(from)?, port_of(port)?);
    let (_, _) = (ip(to)?, port_of(to_port)?);
    words.next().is_none().then(|| whole(Some(client)))
}

/// Version 2: a fixed part of 16 bytes, then as many as it says. `None` where it is malformed.
fn binary(bytes: &[u8]) -> Option<Header> {
    let Some(&[kind, family, high, low]) = bytes.get(12..16) else {
        return Some(Header::Partial);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let end = length.saturating_add(16);
    let local = match kind {
        0x20 => true,
        0x21 => false,
        _ => return None,
    };
    if end > BINARY_BYTES {
        return None;
    }
    let Some(addresses) = bytes.get(16..end) else {
        return Some(Header::Partial);
    };
    let port = |at: usize| {
        let bytes = addresses.get(at..)?.first_chunk::<2>()?;
        Some(u16::from_be_bytes(*bytes))
    };
    let client = match family {
        _ if local => None,
        0x11 => {
            let ip = Ipv4Addr::from(*addresses.first_chunk::<4>()?);
            Some(SocketAddr::new(ip.into(), port(8).filter(|_| length >= 12)?))
        }
        0x21 => {
            let ip = Ipv6Addr::from(*addresses.first_chunk::<16>()?);
            Some(SocketAddr::new(ip.into(), port(32).filter(|_| length >= 36)?))
        }
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => None,
        _ => return None,
    };
    Some(Header::Whole(end, client))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 2 with this command and family before these addresses.
    fn version_2(kind: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[kind, family], &length, addresses].concat()
    }

    #[test]
    fn whole_headers_name_the_client_and_every_beginning_of_them_waits_for_more() {
        let v4 = [10, 0, 0, 1, 10, 0, 0, 2, 0x1f, 0x90, 0, 80];
        let v6: Vec<u8> = [[0xfd; 16], [0; 16]].concat().into_iter().chain([0, 7, 0, 80]).collect();
        let more = [&v4[..], &[0x03, 0, 4, 1, 2, 3, 4]].concat();
        let long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(91));
        assert_eq!(long.len(), 107);
        for (header, client) in [
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 4000 80\r\n".to_vec(), Some("1.2.3.4:4000")),
            (b"PROXY TCP6 fd00::1 ::1 0 65535\r\n".to_vec(), Some("[fd00::1]:0")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (long.into_bytes(), None),
            (version_2(0x21, 0x11, &v4), Some("10.0.0.1:8080")),
            (version_2(0x21, 0x11, &more), Some("10.0.0.1:8080")),
            (version_2(0x21, 0x21, &v6), Some("[fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd]:7")),
            (version_2(0x20, 0x00, &[]), None),
            (version_2(0x20, 0x11, &v4), None),
            (version_2(0x21, 0x31, &[0; 216]), None),
        ] {
            let client = client.map(|client| client.parse().unwrap());
            let followed = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(read(&followed), Header::Whole(header.len(), client), "{header:?}");
            for end in 0..header.len() {
                assert_eq!(read(&header[..end]), Header::Partial, "{end} of {header:?}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_told_at_once() {
        let v4 = [10, 0, 0, 1, 10, 0, 0, 2, 0x1f, 0x90, 0, 80];
        let endless = format!("PROXY UNKNOWN {}", "f".repeat(100));
        for header in [
            b"GET / HTTP/1.1\r\n".to_vec(),
            b"\0".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 4000\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 4000 80 x\r\n".to_vec(),
            b"PROXY TCP4  1.2.3.4 5.6.7.8 4000 80\r\n".to_vec(),
            b"PROXY TCP4 fd00::1 ::1 4000 80\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 04000 80\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 +4000 80\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 70000 80\r\n".to_vec(),
            b"PROXY TCP4 1.2.3 5.6.7.8 4000 80\r\n".to_vec(),
            b"PROXY UDP4 1.2.3.4 5.6.7.8 4000 80\r\n".to_vec(),
            endless.into_bytes(),
            version_2(0x11, 0x11, &v4),
            version_2(0x22, 0x11, &v4),
            version_2(0x21, 0x41, &v4),
            version_2(0x21, 0x11, &v4[..11]),
            version_2(0x21, 0x21, &v4),
            version_2(0x21, 0x11, &[0; 4_000]),
        ] {
            assert_eq!(read(&header), Header::Malformed, "{header:?}");
        }
    }
}
