//! What a request is for: whether it can be forwarded, and its target in one form.
//!
//! HTTP/2 frames messages by itself, so nothing can be smuggled through its framing; but what
//! it carries goes on as HTTP/1.1, and hyper does not look at that. Refused with 400 here:
//! an authority that differs from the `Host` beside it, user information in it, one that is
//! no host, and a `Content-Length` that is given twice or is no plain number. hyper (its h2)
//! refuses the rest with a stream error: line breaks and NUL in values, names in upper case,
//! fields of the connection, a length that the data does not keep.

use http::header::{CONTENT_LENGTH, COOKIE, HOST, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Method, StatusCode, Uri, Version};

use super::head::{is_host, length};

/// The answer to a request that cannot be forwarded, whoever serves.
pub(crate) fn refusal(head: &Parts, fields: u32) -> Option<StatusCode> {
    if head.method == Method::CONNECT {
        return Some(StatusCode::NOT_IMPLEMENTED);
    }
    let path = head.uri.path();
    let whole_server = path == "*" && head.method == Method::OPTIONS;
    if !(path.starts_with('/') || whole_server) || !is_of_one_host(head) {
        return Some(StatusCode::BAD_REQUEST);
    }
    if head.version == Version::HTTP_2 {
        if head.headers.len() > fields as usize {
            return Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
        if !has_plain_length(head) {
            return Some(StatusCode::BAD_REQUEST);
        }
    }
    None
}

/// Whether a request says that its body is larger than `limit`.
pub(crate) fn is_too_large(headers: &HeaderMap, limit: Option<u64>) -> bool {
    let Some(limit) = limit else { return false };
    let said = headers.get(CONTENT_LENGTH).and_then(|value| length(value.as_bytes()));
    said.is_some_and(|said| said > limit)
}

/// Whether the target's authority, where it has one, is a host and the one `Host` names.
fn is_of_one_host(head: &Parts) -> bool {
    let mut hosts = head.headers.get_all(HOST).into_iter();
    let (host, second) = (hosts.next(), hosts.next());
    let named = host.is_none_or(|host| is_host(host.as_bytes()));
    let one = match (head.uri.authority(), host) {
        (None, None) => head.version != Version::HTTP_2,
        (None, Some(_)) => true,
        (Some(authority), None) => is_host(authority.as_str().as_bytes()),
        (Some(authority), Some(host)) => {
            is_host(authority.as_str().as_bytes()) && is_same(authority, host, &head.uri)
        }
    };
    named && one && second.is_none()
}

/// Whether both are the same host and port, the scheme's own port said or not.
fn is_same(authority: &Authority, host: &HeaderValue, target: &Uri) -> bool {
    let usual: &[u8] = match target.scheme_str() {
        Some("https") => b":443",
        _ => b":80",
    };
    let bare = |name: &[u8]| name.strip_suffix(usual).unwrap_or(name).to_ascii_lowercase();
    bare(authority.as_str().as_bytes()) == bare(host.as_bytes())
}

/// Whether a length is given at most once, as a plain number.
fn has_plain_length(head: &Parts) -> bool {
    let mut lengths = head.headers.get_all(CONTENT_LENGTH).into_iter();
    let plain = lengths.next().is_none_or(|value| length(value.as_bytes()).is_some());
    plain && lengths.next().is_none()
}

/// The target as an origin server takes it: the authority of an absolute target becomes the
/// `Host` (RFC 9112, 3.2.2); what HTTP/2 splits, cookies, is one line again (RFC 9113, 8.2.3).
pub(crate) fn to_origin_form(head: &mut Parts) {
    if let Some(host) =
        head.uri.authority().and_then(|authority| HeaderValue::try_from(authority.as_str()).ok())
    {
        head.headers.insert(HOST, host);
        let path = head.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        head.uri = Uri::from(path);
    }
    if head.version == Version::HTTP_2 && head.headers.get_all(COOKIE).iter().nth(1).is_some() {
        let crumbs: Vec<&[u8]> =
            head.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        if let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
            head.headers.insert(COOKIE, whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(version: Version, target: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(target).version(version);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_target_of_another_host_than_the_one_named_is_refused() {
        use Version as V;
        let refused = Some(StatusCode::BAD_REQUEST);
        for (version, target, fields, expected) in [
            (V::HTTP_11, "/", &[("host", "a")][..], None),
            (V::HTTP_11, "http://a/x", &[("host", "a")], None),
            (V::HTTP_11, "http://A:80/x", &[("host", "a")], None),
            (V::HTTP_2, "https://a/x", &[("host", "a:443")], None),
            (V::HTTP_2, "http://a/x", &[], None),
            (V::HTTP_2, "/x", &[("host", "a")], None),
            (V::HTTP_11, "http://b/x", &[("host", "a")], refused),
            (V::HTTP_11, "http://u@a/x", &[("host", "a")], refused),
            (V::HTTP_2, "https://a/x", &[("host", "a:80")], refused),
            (V::HTTP_2, "http://a/x", &[("host", "b")], refused),
            (V::HTTP_2, "http://a/x", &[("host", "a"), ("host", "a")], refused),
            (V::HTTP_2, "http://u:p@a/x", &[], refused),
            (V::HTTP_2, "/x", &[("host", "a/b")], refused),
            (V::HTTP_2, "/x", &[], refused),
        ] {
            assert_eq!(
                refusal(&head(version, target, fields), 100),
                expected,
                "{target} {fields:?}"
            );
        }
    }

    #[test]
    fn lengths_in_http2_are_as_strict_as_in_http1() {
        for (lengths, expected) in [
            (&["5"][..], None),
            (&["5", "5"], Some(StatusCode::BAD_REQUEST)),
            (&["+5"], Some(StatusCode::BAD_REQUEST)),
            (&["5, 5"], Some(StatusCode::BAD_REQUEST)),
            (&[" 5"], Some(StatusCode::BAD_REQUEST)),
        ] {
            let fields: Vec<_> = lengths.iter().map(|length| ("content-length", *length)).collect();
            let head = head(Version::HTTP_2, "http://a/", &fields);
            assert_eq!(refusal(&head, 100), expected, "{lengths:?}");
        }
    }

    #[test]
    fn crumbs_of_cookies_become_one_line_again() {
        let mut head =
            head(Version::HTTP_2, "http://a/x?q", &[("cookie", "a=1"), ("cookie", "b=2")]);
        to_origin_form(&mut head);
        assert_eq!(
            (head.uri.to_string().as_str(), &head.headers[HOST]),
            ("/x?q", &"a".parse::<HeaderValue>().unwrap())
        );
        assert_eq!(head.headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }
}
