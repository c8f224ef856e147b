//! Where traffic comes in, and how.

use core::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::findings::Findings;
use super::value;
use super::yaml::Node;
use crate::route::{DoorRoute, Limits, TlsRoute};

/// What stands under `listen`: the address, `host:port`, and how connections are taken in.
pub(super) fn read(plan: &Node, findings: &mut Findings<'_>) -> (String, DoorRoute) {
    let limits = limits(plan, findings);
    let Some(node) = plan.get("listen") else {
        return (String::new(), DoorRoute::default());
    };
    let address = if node.text().is_some() { Some(node) } else { node.get("address") };
    (
        address.map(|node| self::address(node, findings)).unwrap_or_default(),
        DoorRoute {
            tls: node.get("tls").and_then(|node| tls(node, findings)),
            proxy_protocol_from: networks(node, "proxy_protocol_from", findings),
            forwarded_from: networks(node, "forwarded_from", findings),
            limits,
        },
    )
}

fn address(node: &Node, findings: &mut Findings<'_>) -> String {
    let Some(text) = node.text() else {
        return String::new();
    };
    match host_of(text) {
        None => {
            let message = format!("read `{text}`; allowed: host:port, as in `127.0.0.1:8080`");
            findings.error("listen-address", node.place(), message, None);
        }
        Some(host) if !is_loopback(host) => {
            let message = format!("read `{text}`, which takes requests from other machines");
            let help = Some("write `127.0.0.1` to take requests from this machine only".to_owned());
            findings.warning("listen-not-loopback", node.place(), message, help);
        }
        Some(_) => {}
    }
    text.to_owned()
}

/// The host of `host:port`, where both are well-formed.
fn host_of(text: &str) -> Option<&str> {
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let well_formed = match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
        }
    };
    (port > 0 && well_formed).then(|| bracketed.unwrap_or(host))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The files under `tls`. A relative path would depend on where a proxy was started.
fn tls(node: &Node, findings: &mut Findings<'_>) -> Option<TlsRoute> {
    let mut path = |key| {
        let (node, text) = node.get(key).and_then(|node| Some((node, node.text()?)))?;
        if !text.starts_with('/') {
            let message =
                format!("read `{text}`; allowed: an absolute path, as the proxy reads it");
            findings.error("tls-path", node.place(), message, None);
        }
        Some(text.to_owned())
    };
    let (certificate, key) = (path("certificate"), path("key"));
    Some(TlsRoute { certificate: certificate?, key: key? })
}

/// The sizes under `limits`.
fn limits(plan: &Node, findings: &mut Findings<'_>) -> Limits {
    let node = plan.get("limits");
    let default = Limits::default();
    let head = value::size(node, "head", &(1 << 10..=256 << 10), findings);
    Limits {
        head: head.and_then(|head| u32::try_from(head).ok()).unwrap_or(default.head),
        fields: value::count(node, "fields", default.fields, 1_000, findings),
        body: value::size(node, "body", &(1..=1 << 40), findings),
    }
}

/// The networks listed under `key`.
fn networks(listen: &Node, key: &str, findings: &mut Findings<'_>) -> Vec<IpNet> {
    let nodes = listen.get(key).map(Node::items).unwrap_or_default();
    nodes.iter().filter_map(|node| network(node, findings)).collect()
}

/// A network, or an address that stands for itself. `10.0.0.1/8` may mean either and is neither.
fn network(node: &Node, findings: &mut Findings<'_>) -> Option<IpNet> {
    let text = node.text()?;
    let address = text.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical()));
    let network = address.or_else(|| text.parse::<IpNet>().ok());
    if let Some(network) = network.filter(|network| network.trunc() == *network) {
        return Some(network);
    }
    let message = format!("read `{text}`; allowed: a network or an address, as in `10.0.0.0/8`");
    let help = network
        .map(|network| format!("did you mean `{}` or `{}`?", network.trunc(), network.addr()));
    findings.error("network", node.place(), message, help);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_to_listen_on_have_a_host_and_a_port() {
        for (text, host) in
            [("127.0.0.1:80", "127.0.0.1"), ("[::1]:80", "::1"), ("localhost:8080", "localhost")]
        {
            assert_eq!(host_of(text), Some(host));
            assert!(is_loopback(host));
        }
        for text in
            ["8080", ":8080", "localhost", "localhost:0", "localhost:70000", "[x]:1", "a b:1"]
        {
            assert_eq!(host_of(text), None, "{text}");
        }
        assert!(!is_loopback("0.0.0.0"));
    }
}
