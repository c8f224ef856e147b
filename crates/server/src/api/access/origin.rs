//! Where a browser's request comes from.
//!
//! A browser sends its cookies along whoever wrote the page. What a page of another site
//! cannot forge is what the browser itself says of the request.

use axum::http::{HeaderMap, HeaderName, header};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The header a script has to set; another site would have to ask first, and is not answered.
const MARK: HeaderName = HeaderName::from_static("x-sluice");

/// Refuses a request of another site.
///
/// `Sec-Fetch-Site` tells; browsers without it send `Origin`, which must be this server's own.
///
/// # Errors
/// Why it is taken to come from another site.
pub(super) fn same(headers: &HeaderMap) -> Result<(), String> {
    let host = local_host(headers)?;
    match (text(headers, &FETCH_SITE), text(headers, &header::ORIGIN)) {
        (Some("same-origin"), _) => Ok(()),
        (Some(site), _) => {
            Err(format!("the browser says `sec-fetch-site: {site}`; allowed: same-origin"))
        }
        (None, Some(origin)) if origin.strip_prefix("http://") == Some(host) => Ok(()),
        (None, Some(origin)) => Err(format!("read `origin: {origin}`; allowed: http://{host}")),
        (None, None) => Err("the browser sent neither `sec-fetch-site` nor `origin`".to_owned()),
    }
}

/// Refuses a request that no script of ours has made.
///
/// # Errors
/// What is missing.
pub(super) fn marked(headers: &HeaderMap) -> Result<(), String> {
    match text(headers, &MARK) {
        Some("1") => Ok(()),
        _ => Err("a session changes things only with the header `x-sluice: 1`".to_owned()),
    }
}

/// The host the browser asked. A name that is not loopback's own may be another site's that
/// resolves to us, whose pages the browser would take for ours.
fn local_host(headers: &HeaderMap) -> Result<&str, String> {
    let host = text(headers, &header::HOST).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    if ["127.0.0.1", "localhost", "[::1]"].contains(&name) {
        return Ok(host);
    }
    Err(format!("the browser asked {host:?}; allowed: 127.0.0.1, localhost and [::1]"))
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        given.iter().map(pair).collect()
    }

    #[test]
    fn our_own_pages_may_ask() {
        for own in [
            &[("host", "127.0.0.1:7373"), ("sec-fetch-site", "same-origin")],
            &[("host", "localhost:7373"), ("origin", "http://localhost:7373")],
            &[("host", "[::1]:7373"), ("origin", "http://[::1]:7373")],
            &[("host", "localhost"), ("origin", "http://localhost")],
        ] {
            assert_eq!(same(&headers(own)), Ok(()), "{own:?}");
        }
    }

    #[test]
    fn pages_of_others_may_not() {
        let host = ("host", "127.0.0.1:7373");
        for (foreign, says) in [
            (vec![host], "neither"),
            (vec![host, ("sec-fetch-site", "cross-site")], "cross-site"),
            (vec![host, ("sec-fetch-site", "same-site")], "same-site"),
            (vec![host, ("sec-fetch-site", "none")], "none"),
            (
                vec![host, ("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:7373")],
                "same-site",
            ),
            (vec![host, ("origin", "http://127.0.0.1:8080")], "allowed: http://127.0.0.1:7373"),
            (vec![host, ("origin", "https://127.0.0.1:7373")], "allowed: http://127.0.0.1:7373"),
            (vec![host, ("origin", "null")], "allowed: http://127.0.0.1:7373"),
            (
                vec![("host", "evil.example:7373"), ("sec-fetch-site", "same-origin")],
                "evil.example",
            ),
            (
                vec![("host", "127.0.0.1.evil.example"), ("sec-fetch-site", "same-origin")],
                "evil.example",
            ),
            (vec![("sec-fetch-site", "same-origin")], "allowed: 127.0.0.1"),
        ] {
            let said = same(&headers(&foreign)).unwrap_err();
            assert!(said.contains(says), "{foreign:?}: {said}");
        }
    }

    #[test]
    fn the_mark_must_be_the_one_agreed() {
        assert_eq!(marked(&headers(&[("x-sluice", "1")])), Ok(()));
        marked(&headers(&[("x-sluice", "yes")])).unwrap_err();
        marked(&headers(&[])).unwrap_err();
    }
}
