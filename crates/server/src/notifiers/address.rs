//! Which addresses are never dialled: those where clouds hand their machines credentials.
//!
//! A name is looked up once and what comes back is checked and dialled, so that no second lookup
//! can lead elsewhere. An address written as one never reaches the resolver and is checked by
//! [`literal`].

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The address is one of those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address is one of a cloud's metadata service")]
pub struct Denied;

/// Metadata services outside the link-local range: Alibaba, Azure, Oracle.
const DENIED_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
/// Metadata services inside the unique-local range: AWS, Google.
const DENIED_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254),
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254),
];

/// Whether `address` must not be dialled: link-local or a known metadata service, also when
/// written as an IPv6 address that leads to such an IPv4 one.
pub fn is_denied(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || DENIED_V4.contains(&address),
        IpAddr::V6(address) => {
            address.is_unicast_link_local()
                || DENIED_V6.contains(&address)
                || embedded(address).is_some_and(|inner| is_denied(inner.into()))
        }
    }
}

/// The IPv4 address inside a mapped (`::ffff:0:0/96`), compatible (`::/96`), translated
/// (`64:ff9b::/96`) or 6to4 (`2002::/16`) address.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let (high, low) = match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            (high, low)
        }
        [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
}

/// Checks a URL whose host is an address.
///
/// # Errors
/// When it must not be dialled.
pub fn literal(url: &Url) -> Result<(), Denied> {
    let host = url.host_str().unwrap_or_default();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.parse().is_ok_and(is_denied) { Err(Denied) } else { Ok(()) }
}

/// How a name is looked up.
pub(super) type Lookup =
    fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Looks names up and refuses those that lead to a denied address.
pub(super) struct Guarded(pub(super) Lookup);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.0(name.as_str().to_owned());
        Box::pin(async move {
            let found = lookup.await?;
            if found.iter().any(|address| is_denied(address.ip())) {
                return Err(Denied.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The system's own lookup. The port is filled in by whoever dials.
pub(super) fn system(
    name: String,
) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
    Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_are_denied_in_every_spelling() {
        for denied in [
            "http://169.254.169.254/",
            "http://169.254.0.1/",
            "http://2852039166/",
            "http://0xa9.0xfe.0xa9.0xfe/",
            "http://100.100.100.200/",
            "http://168.63.129.16/",
            "http://[fd00:ec2::254]/",
            "http://[fe80::1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[::169.254.169.254]/",
            "http://[64:ff9b::169.254.169.254]/",
            "http://[2002:a9fe:a9fe::1]/",
        ] {
            assert_eq!(literal(&Url::parse(denied).unwrap()), Err(Denied), "{denied}");
        }
    }

    #[test]
    fn other_addresses_and_names_pass() {
        for allowed in [
            "http://127.0.0.1/",
            "https://10.0.0.1/",
            "http://[::1]/",
            "http://[fd00::1]/",
            "http://example.com/",
        ] {
            assert_eq!(literal(&Url::parse(allowed).unwrap()), Ok(()), "{allowed}");
        }
    }
}
