//! Who asks: the client behind a connection, or behind the proxies in front whose word is taken.
//!
//! Anybody can send `X-Forwarded-For`. It is believed only from listed networks, and from its
//! end: the last address that is not itself in one of them is the client. `Forwarded`
//! (RFC 7239) is read the same way where the other is missing; where it is not, nobody has
//! vouched for `Forwarded`, and it is said anew. From all others both are replaced.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use http::HeaderMap;
use http::header::{FORWARDED, HOST, HeaderName, HeaderValue};
use ipnet::IpNet;

use super::claims;
use super::head::is_host;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// Who is at the other end of a connection.
#[derive(Debug)]
pub(crate) struct Origin {
    peer: IpAddr,
    scheme: &'static str,
    believed: Rc<[IpNet]>,
    /// What is said of requests when nobody in front is believed.
    alone: Rc<Asker>,
}

/// Who asks one request, and what the upstream is told of it.
#[derive(Debug)]
pub(crate) struct Asker {
    /// The client's address as text.
    pub address: String,
    forwarded_for: HeaderValue,
    forwarded: HeaderValue,
    scheme: HeaderValue,
    /// As a believed proxy was asked; `None` is the request's own.
    host: Option<HeaderValue>,
}

impl Origin {
    /// Of the other end at this address, which speaks TLS or not. What it says of others is
    /// taken when it is in one of the `believed` networks.
    pub(crate) fn new(peer: SocketAddr, tls: bool, believed: &[IpNet]) -> Self {
        let peer = peer.ip().to_canonical();
        let scheme = if tls { "https" } else { "http" };
        let alone = Asker {
            address: peer.to_string(),
            forwarded_for: value(&peer.to_string()),
            forwarded: value(&element(peer, scheme)),
            scheme: HeaderValue::from_static(scheme),
            host: None,
        };
        let believed = if contain(believed, peer) { Rc::from(believed) } else { Rc::from([]) };
        Self { peer, scheme, believed, alone: Rc::new(alone) }
    }

    /// Who asks the request with these headers.
    pub(crate) fn asker(&self, headers: &HeaderMap) -> Rc<Asker> {
        if self.believed.is_empty() {
            return Rc::clone(&self.alone);
        }
        let listed = words(headers, &FORWARDED_FOR);
        let elements = words(headers, &FORWARDED);
        let client = if listed.is_empty() {
            let named = elements.iter().map(|element| parameter(element, b"for"));
            self.client(named.rev())
        } else {
            self.client(listed.iter().rev().map(|word| address(word)))
        };
        let scheme =
            headers.get(FORWARDED_PROTO).filter(|scheme| *scheme == "http" || *scheme == "https");
        let scheme = scheme.cloned().unwrap_or(HeaderValue::from_static(self.scheme));
        let host = headers.get(FORWARDED_HOST).filter(|host| is_host(host.as_bytes()));
        // What vouches for the client is passed on and extended, the other follows from it.
        let forwarded = if listed.is_empty() && !elements.is_empty() {
            joined(elements, &element(self.peer, self.scheme))
        } else {
            value(&element(client, scheme.to_str().unwrap_or(self.scheme)))
        };
        let before = if listed.is_empty() && client != self.peer {
            vec![client.to_string().into_bytes()]
        } else {
            listed
        };
        Rc::new(Asker {
            address: client.to_string(),
            forwarded_for: joined(before, &self.peer.to_string()),
            forwarded,
            scheme,
            host: host.cloned(),
        })
    }

    /// The last address, from the end, that is not a believed proxy's; where something is no
    /// address, the one after it.
    fn client(&self, from_the_end: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut client = self.peer;
        for before in from_the_end {
            let Some(before) = before.filter(|_| contain(&self.believed, client)) else {
                break;
            };
            client = before;
        }
        client
    }
}

impl Asker {
    /// Tells the upstream, in place of whatever the request says.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        claims::remove(headers);
        headers.insert(FORWARDED_FOR, self.forwarded_for.clone());
        headers.insert(FORWARDED_PROTO, self.scheme.clone());
        headers.insert(FORWARDED, self.forwarded.clone());
        if let Some(host) = self.host.clone().or_else(|| headers.get(HOST).cloned()) {
            headers.insert(FORWARDED_HOST, host);
        }
    }
}

/// Whether an address is in one of the networks.
pub(crate) fn contain(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// The elements of a list, over all lines of the field.
fn words(headers: &HeaderMap, name: &HeaderName) -> Vec<Vec<u8>> {
    let lines = headers.get_all(name).into_iter();
    let words = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    words.map(|word| word.trim_ascii().to_vec()).filter(|word| !word.is_empty()).collect()
}

/// The list with one element more.
fn joined(mut words: Vec<Vec<u8>>, last: &str) -> HeaderValue {
    words.push(last.as_bytes().to_vec());
    HeaderValue::from_bytes(&words.join(&b", "[..])).unwrap_or_else(|_| value(last))
}

/// An address, with or without a port, quotes and brackets.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let ip = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    ip.map(|ip: IpAddr| ip.to_canonical())
}

/// The address that a `Forwarded` element gives under `name`.
fn parameter(element: &[u8], name: &[u8]) -> Option<IpAddr> {
    let pairs = element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let values = pairs.filter_map(|pair| {
        let (key, value) = pair.split_at_checked(name.len())?;
        key.eq_ignore_ascii_case(name).then(|| value.strip_prefix(b"="))?
    });
    values.into_iter().next().and_then(address)
}

/// One element of `Forwarded`.
fn element(ip: IpAddr, scheme: &str) -> String {
    match ip {
        IpAddr::V4(_) => format!("for={ip};proto={scheme}"),
        IpAddr::V6(_) => format!("for=\"[{ip}]\";proto={scheme}"),
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests;
