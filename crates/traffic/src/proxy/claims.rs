//! Fields that claim whence a request came.
//!
//! Those that count are said anew (`origin`). The others, like `X-Real-IP` and
//! `X-Forwarded-Port`, are removed whoever makes them: a proxy in front may let those of its
//! clients through. Many servers read `_` in a name as `-`, so both are the same here.

use http::HeaderMap;
use http::header::HeaderName;

/// How the names of most claims begin.
const CLAIMS: &str = "x-forwarded-";
/// The others.
const NAMES: [&str; 2] = ["forwarded", "x-real-ip"];

/// Removes every claim.
pub(crate) fn remove(headers: &mut HeaderMap) {
    let claims: Vec<HeaderName> = headers.keys().filter(|name| is_claim(name)).cloned().collect();
    for name in claims {
        headers.remove(name);
    }
}

fn is_claim(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    name.get(..CLAIMS.len()).is_some_and(|start| reads_as(start, CLAIMS))
        || NAMES.into_iter().any(|claim| reads_as(name, claim))
}

fn reads_as(name: &[u8], claim: &str) -> bool {
    let same = |(&byte, meant)| byte == meant || (byte == b'_' && meant == b'-');
    name.len() == claim.len() && name.iter().zip(claim.bytes()).all(same)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn claims_are_removed_however_they_are_spelled() {
        let mut headers = HeaderMap::new();
        for name in [
            "x-forwarded-for",
            "x_forwarded_for",
            "x-forwarded_port",
            "x-forwarded-anything",
            "x-real-ip",
            "x_real-ip",
            "forwarded",
            "x-forwarder",
            "x-real-ip-range",
            "forwarded-not",
        ] {
            headers.append(name, HeaderValue::from_static("1"));
        }
        remove(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["forwarded-not", "x-forwarder", "x-real-ip-range"]);
    }
}
