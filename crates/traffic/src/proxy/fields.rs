//! Header fields that a proxy removes and adds.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{HeaderMap, Version};

use super::cookies;
use super::head::{H2C, lists};
use super::mirror;
use super::origin::Asker;

/// Fields that mean the connection, not the message (RFC 9110, 7.6.1, and older proxies).
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// How this proxy ends its part of `Via`.
const NAME: &[u8] = b" sluice";
/// Proxies like this one that a request may have passed. One service asks another through its
/// proxy, and that a third; nobody needs eight in a row who hand on `Via`.
const HOPS: usize = 8;

/// The protocols a request asks to change to. Where `h2c` is one of them it asks for none.
pub(crate) fn upgrade_asked(headers: &HeaderMap) -> Option<HeaderValue> {
    let protocols = headers.get(UPGRADE)?;
    let asked = names(headers, CONNECTION, b"upgrade") && !names(headers, UPGRADE, H2C);
    asked.then(|| protocols.clone())
}

/// What an upstream that was asked for `asked` changes to; `None` when that is something else.
/// One that does not say changes to what was asked for.
pub(crate) fn upgrade_granted(headers: &HeaderMap, asked: &HeaderValue) -> Option<HeaderValue> {
    let lines = headers.get_all(UPGRADE).into_iter();
    let mut granted = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    let all_asked = granted.all(|protocol| lists(asked.as_bytes(), protocol.trim_ascii()));
    all_asked.then(|| headers.get(UPGRADE).unwrap_or(asked).clone())
}

/// Removes what concerns only the connection the message came on: the fields above and
/// those that `Connection` names. A length beside a transfer coding is not the body's (RFC
/// 9112, 6.3): it goes with the coding.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        for name in named(headers) {
            headers.remove(name);
        }
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    // Most messages have none of them, and looking is cheaper than removing.
    if headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        for name in HOP_BY_HOP {
            headers.remove(name);
        }
    }
}

/// Removes from trailers what concerns only the connection, and what they cannot say of a body
/// that has passed: HTTP/2 takes none of it, and no whole message would come out.
pub(crate) fn clean_trailers(trailers: &mut HeaderMap) {
    remove_hop_by_hop(trailers);
    for name in [CONTENT_LENGTH, HOST, TRAILER] {
        trailers.remove(name);
    }
}

/// Whether a body is coded in another way than in chunks for its transfer. A coding that nobody
/// asked for with `TE` cannot be passed on, nor be undone here.
pub(crate) fn is_coded(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(TRANSFER_ENCODING).into_iter();
    let mut codings = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    let known = |coding: &[u8]| {
        [&b"chunked"[..], b"identity", b""].iter().any(|known| coding.eq_ignore_ascii_case(known))
    };
    codings.any(|coding| !known(coding.trim_ascii()))
}

/// Makes a request's head fit for the upstream. Who forwarded it is said anew. `Via` is
/// extended, which is how circles are found. `Expect` is answered here, and the dashboard's session
/// is nothing an upstream may see.
pub(crate) fn for_upstream(
    headers: &mut HeaderMap,
    version: Version,
    asker: &Asker,
    upgrade: Option<HeaderValue>,
) {
    let trailers = takes_trailers(headers);
    remove_hop_by_hop(headers);
    headers.remove(EXPECT);
    headers.remove(mirror::MARK);
    cookies::remove_session(headers);
    asker.tell(headers);
    headers.append(VIA, via(version));
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Some(protocol) = upgrade {
        change_to(headers, protocol);
    }
}

/// Has a body of unknown length sent in chunks whatever the method. Left to itself, hyper
/// takes it that some methods have no body, and drops what there is.
pub(crate) fn frame_upload(headers: &mut HeaderMap) {
    if !headers.contains_key(CONTENT_LENGTH) {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Names a host where the client did not: HTTP/1.0 need not, but what goes on is HTTP/1.1.
pub(crate) fn name_host(headers: &mut HeaderMap, address: &str) {
    if !headers.contains_key(HOST)
        && let Ok(host) = HeaderValue::from_str(address)
    {
        headers.insert(HOST, host);
    }
}

/// A version of HTTP as `Via` and the access log write it.
pub(crate) const fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

/// Whether a request has passed proxies like this one so often that it goes in circles, as one
/// does whose upstream is a listen address.
pub(crate) fn is_in_circles(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(VIA).into_iter();
    let hops = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    let ours = hops.filter(|hop| hop.trim_ascii().ends_with(NAME));
    ours.count() >= HOPS
}

/// How this proxy names itself in `Via`, with the version it was asked in.
const fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_10 => "1.0 sluice",
        Version::HTTP_2 => "2 sluice",
        _ => "1.1 sluice",
    })
}

/// Says that the connection changes to `protocol`.
pub(crate) fn change_to(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Whether a field of this name, in any case, means the connection and not the message.
pub(crate) fn is_of_connection(name: &str) -> bool {
    let same = |field: &HeaderName| field.as_str().eq_ignore_ascii_case(name);
    matches!(name.len(), 2 | 7 | 10 | 14 | 16..=19) && HOP_BY_HOP.iter().any(same)
}

/// Whether `Connection` may name a field: not those a message cannot do without.
pub(crate) fn may_be_named(name: &str) -> bool {
    ![HOST, CONTENT_LENGTH].iter().any(|field| field.as_str().eq_ignore_ascii_case(name))
}

/// Whether the other side closes the connection after this message.
pub(crate) fn closes(headers: &HeaderMap) -> bool {
    names(headers, CONNECTION, b"close")
}

/// Whether the client wants the fields that come after a body.
pub(crate) fn takes_trailers(headers: &HeaderMap) -> bool {
    names(headers, TE, b"trailers")
}

/// The names that `Connection` lists, except those a message cannot do without.
fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(CONNECTION).into_iter();
    let words = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    let listed = words.filter_map(|word| HeaderName::from_bytes(word.trim_ascii()).ok());
    listed.filter(|name| may_be_named(name.as_str())).collect()
}

/// Whether one of the lines of `list` names `word`.
fn names(headers: &HeaderMap, list: HeaderName, word: &[u8]) -> bool {
    headers.get_all(list).into_iter().any(|line| lists(line.as_bytes(), word))
}

#[cfg(test)]
mod tests;
