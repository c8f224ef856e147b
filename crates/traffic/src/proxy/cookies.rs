//! Cookies that are not the upstream's to see.
//!
//! A browser sends its cookies to every port of a host (RFC 6265, 8.5). Whoever looks at the
//! dashboard and then at the service on the same host would hand the service the session that
//! may roll it back.

use http::HeaderMap;
use http::header::{COOKIE, HeaderValue};

/// The cookie of the controller's dashboard; the proxy takes it out of every request.
pub const SESSION_COOKIE: &str = "sluice_session";

/// Takes the dashboard's session out of a request; other cookies stay as they were written.
pub(crate) fn remove_session(headers: &mut HeaderMap) {
    let holds = |line: &HeaderValue| {
        memchr::memmem::find(line.as_bytes(), SESSION_COOKIE.as_bytes()).is_some()
    };
    if !headers.get_all(COOKIE).iter().any(holds) {
        return;
    }
    let kept: Vec<HeaderValue> = headers.get_all(COOKIE).iter().filter_map(without).collect();
    headers.remove(COOKIE);
    for line in kept {
        headers.append(COOKIE, line);
    }
}

/// A line of cookies without the session; `None` when nothing is left of it.
fn without(line: &HeaderValue) -> Option<HeaderValue> {
    let pairs = line.as_bytes().split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let others: Vec<&[u8]> = pairs.filter(|pair| !is_session(pair)).collect();
    HeaderValue::from_bytes(&others.join(&b"; "[..])).ok().filter(|line| !line.is_empty())
}

fn is_session(pair: &[u8]) -> bool {
    let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default();
    name.trim_ascii() == SESSION_COOKIE.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of these lines of cookies.
    fn left(lines: &[&'static str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        remove_session(&mut headers);
        let left = headers.get_all(COOKIE).iter();
        left.map(|line| line.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_session_goes_and_every_other_cookie_stays() {
        assert_eq!(left(&["a=1; sluice_session=x; b=2"]), ["a=1; b=2"]);
        assert_eq!(left(&["sluice_session=x;a=1", "c=3"]), ["a=1", "c=3"]);
        assert_eq!(left(&["a=1; sluice_session = x; sluice_session"]), ["a=1"]);
        assert!(left(&["sluice_session=x"]).is_empty());
    }

    #[test]
    fn what_only_looks_like_it_is_not_touched() {
        for line in ["my_sluice_session=1;  b=2", "sluice_session2=1", "a=sluice_session"] {
            assert_eq!(left(&[line]), [line.replace(";  ", "; ")]);
        }
        assert_eq!(left(&["a=1;  b=2"]), ["a=1;  b=2"]);
    }
}
