//! Where messages never go: the addresses at which clouds hand out the machine's credentials.
//!
//! Checked on the address that is dialled, after the name was looked up: a name cannot change
//! its mind in between.

use std::net::{IpAddr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// True for link-local addresses (`169.254.0.0/16`, `fe80::/10`) and the metadata services outside
/// of them.
pub(super) fn is_denied(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.octets() == [100, 100, 100, 200],
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_denied(IpAddr::V4(v4)),
            None => {
                v6.is_unicast_link_local() || v6.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]
            }
        },
    }
}

/// What marks a refusal of ours among the errors of a request.
#[derive(Debug, thiserror::Error)]
#[error("the address is in a range that is never sent to")]
pub(super) struct Denied;

/// Looks names up and drops what is denied.
pub(super) struct Filtered;

impl Resolve for Filtered {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            let allowed: Vec<SocketAddr> =
                found.into_iter().filter(|address| !is_denied(address.ip())).collect();
            if allowed.is_empty() {
                return Err(Denied.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_are_denied_in_every_spelling() {
        for denied in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fd00:ec2::254",
            "fe80::1",
            "100.100.100.200",
        ] {
            assert!(is_denied(denied.parse().unwrap()), "{denied}");
        }
        for allowed in ["127.0.0.1", "10.0.0.1", "192.0.2.7", "2001:db8::1", "::1"] {
            assert!(!is_denied(allowed.parse().unwrap()), "{allowed}");
        }
    }
}
