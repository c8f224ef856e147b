//! Ties a request to a user: finds the key, or draws a fresh one.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};
use rollout::route::Sticky;

/// How long a browser keeps the cookie: 30 days.
const COOKIE_SECONDS: u32 = 30 * 86_400;

/// How requests of one service are tied to users, ready for use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tie {
    Cookie(String),
    Header(HeaderName),
    Address,
}

/// The key of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key<'a> {
    /// The request brought it.
    Known(&'a str),
    /// It had none; the answer sets it as a cookie.
    Fresh(FreshKey),
}

/// 128 random bits as lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FreshKey([u8; 32]);

impl Tie {
    /// As the snapshot says; the reason when a name cannot be used.
    pub(crate) fn new(sticky: &Sticky) -> Result<Self, String> {
        match sticky {
            Sticky::Cookie(name) if is_cookie_name(name) => Ok(Self::Cookie(name.clone())),
            Sticky::Cookie(name) => Err(format!("sticky cookie {name:?} is no cookie name")),
            Sticky::Header(name) => HeaderName::from_bytes(name.as_bytes())
                .map(Self::Header)
                .map_err(|_| format!("sticky header {name:?} is no header name")),
            Sticky::Address => Ok(Self::Address),
        }
    }

    /// The key of a request with these headers from this address.
    pub(crate) fn key<'a>(
        &self,
        headers: &'a HeaderMap,
        address: &'a str,
        source: &KeySource,
    ) -> Key<'a> {
        match self {
            Self::Cookie(name) => {
                cookie(headers, name).map_or_else(|| Key::Fresh(source.draw()), Key::Known)
            }
            Self::Header(name) => {
                let value =
                    headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
                Key::Known(value.filter(|value| !value.is_empty()).unwrap_or(address))
            }
            Self::Address => Key::Known(address),
        }
    }

    /// The cookie that gives a user this key.
    pub(crate) fn set_cookie(&self, key: &FreshKey) -> Option<HeaderValue> {
        let Self::Cookie(name) = self else {
            return None;
        };
        let key = key.as_str();
        let text =
            format!("{name}={key}; Path=/; Max-Age={COOKIE_SECONDS}; SameSite=Lax; HttpOnly");
        HeaderValue::try_from(text).ok()
    }
}

impl Key<'_> {
    /// The key as text.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Known(key) => key,
            Self::Fresh(key) => key.as_str(),
        }
    }
}

impl FreshKey {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Draws keys nobody can guess: a keyed hash (`SipHash`, seeded by the system) of a count.
#[derive(Debug)]
pub(crate) struct KeySource {
    seeds: [RandomState; 2],
    drawn: Cell<u64>,
}

impl KeySource {
    /// Seeded anew.
    pub(crate) fn new() -> Self {
        Self { seeds: [RandomState::new(), RandomState::new()], drawn: Cell::new(0) }
    }

    fn draw(&self) -> FreshKey {
        let count = self.drawn.get().wrapping_add(1);
        self.drawn.set(count);
        let mut digits = [0; 32];
        let bits = self.seeds.iter().flat_map(|seed| seed.hash_one(count).to_be_bytes());
        for (pair, byte) in digits.chunks_exact_mut(2).zip(bits) {
            pair.copy_from_slice(&[hex(byte >> 4), hex(byte & 15)]);
        }
        FreshKey(digits)
    }
}

const fn hex(digit: u8) -> u8 {
    if digit < 10 { b'0'.wrapping_add(digit) } else { b'a'.wrapping_sub(10).wrapping_add(digit) }
}

fn is_cookie_name(name: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok()
}

/// The first cookie of this name that has a value.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers
        .get_all(COOKIE)
        .into_iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b';'));
    let values = pairs.filter_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        std::str::from_utf8(value).ok()
    });
    values.into_iter().find(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookie: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_static(cookie))])
    }

    #[test]
    fn the_cookie_is_found_among_others_and_an_empty_one_is_none() {
        for (line, found) in [
            ("sluice=u1", Some("u1")),
            ("a=1; sluice=u1; b=2", Some("u1")),
            ("xsluice=no;sluice=u1", Some("u1")),
            ("sluice=; sluice=u2", Some("u2")),
            ("sluicex=u1", None),
            ("", None),
        ] {
            assert_eq!(cookie(&headers(line), "sluice"), found, "{line:?}");
        }
    }

    #[test]
    fn a_user_without_the_cookie_gets_a_key_of_their_own() {
        let tie = Tie::new(&Sticky::Cookie("sluice".to_owned())).unwrap();
        let (source, none) = (KeySource::new(), HeaderMap::new());
        let (first, second) =
            (tie.key(&none, "1.2.3.4", &source), tie.key(&none, "1.2.3.4", &source));
        assert_ne!(first, second);
        let Key::Fresh(key) = first else { panic!("fresh") };
        let cookie = tie.set_cookie(&key).unwrap();
        let expected =
            format!("sluice={}; Path=/; Max-Age=2592000; SameSite=Lax; HttpOnly", first.as_str());
        assert_eq!(cookie, expected.as_str());
        assert_eq!(first.as_str().len(), 32);
    }

    #[test]
    fn a_missing_header_falls_back_to_the_address() {
        let tie = Tie::new(&Sticky::Header("x-user".to_owned())).unwrap();
        let (source, mut sent) = (KeySource::new(), HeaderMap::new());
        assert_eq!(tie.key(&sent, "1.2.3.4", &source), Key::Known("1.2.3.4"));
        sent.insert("x-user", HeaderValue::from_static("u1"));
        assert_eq!(tie.key(&sent, "1.2.3.4", &source), Key::Known("u1"));
    }

    #[test]
    fn names_that_cannot_stand_in_a_message_are_refused_with_the_name() {
        let refused = Tie::new(&Sticky::Cookie("a;b".to_owned())).unwrap_err();
        assert_eq!(refused, "sticky cookie \"a;b\" is no cookie name");
        assert!(Tie::new(&Sticky::Header("x y".to_owned())).is_err());
    }
}
