//! Whose requests are on a side whatever their bucket: testers, and segments of users.
//!
//! Their requests are counted apart: they are no random sample of anything, so neither the
//! gates nor the guard hear of them ([`rollout::route::Segments`]).

use http::HeaderMap;
use http::header::HeaderName;
use rollout::route::{Mark, Segment, ServiceRoute};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::guard::Side;
use super::sticky::cookie;

/// What testers write before the secret to meet stable.
const STABLE: &str = "stable ";

/// Who of a service is on a side by choice, ready for use.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub testers: Option<Testers>,
    always: Vec<Sign>,
    never: Vec<Sign>,
}

/// How testers are known.
#[derive(Debug)]
pub(crate) struct Testers {
    /// Never goes on to a version.
    pub header: HeaderName,
    /// `None` while nobody is one.
    digest: Option<[u8; 32]>,
}

/// A header or a cookie with one of these values.
#[derive(Debug)]
enum Sign {
    Header(HeaderName, Vec<String>),
    Cookie(String, Vec<String>),
}

/// Why a request is on a side whatever its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// A tester asks for this side.
    Tester(Side),
    /// Its segment meets the canary.
    Always,
    /// Its segment does not.
    Never,
}

/// What is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Apart {
    Tester,
    Segment,
}

impl Apart {
    /// As the access log writes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tester => "tester",
            Self::Segment => "segment",
        }
    }
}

impl Chosen {
    /// Nobody.
    pub(crate) const fn none() -> Self {
        Self { testers: None, always: Vec::new(), never: Vec::new() }
    }

    /// As the route says; the reason when something of it cannot be used.
    pub(crate) fn of(route: &ServiceRoute) -> Result<Self, String> {
        let signs =
            |segments: &[Segment]| segments.iter().map(Sign::of).collect::<Result<_, String>>();
        let testers = route.testers.as_ref().map(|testers| {
            let header = name(&testers.header)?;
            let read =
                |text: &String| digest(text).ok_or("testers' digest is not 64 hexadecimal digits");
            let digest = testers.digest.as_ref().map(read).transpose()?;
            Ok::<_, String>(Testers { header, digest })
        });
        Ok(Self {
            testers: testers.transpose()?,
            always: signs(&route.segments.always)?,
            never: signs(&route.segments.never)?,
        })
    }

    /// Why a request with these headers is on a side; `None` leaves it to its bucket.
    pub(crate) fn choice(&self, headers: &HeaderMap) -> Option<Choice> {
        let tester = self.testers.as_ref().and_then(|testers| testers.asked(headers));
        let any = |signs: &[Sign]| signs.iter().any(|sign| sign.is_on(headers));
        tester
            .map(Choice::Tester)
            .or_else(|| any(&self.never).then_some(Choice::Never))
            .or_else(|| any(&self.always).then_some(Choice::Always))
    }
}

impl Testers {
    /// The side asked for; `None` without the secret.
    fn asked(&self, headers: &HeaderMap) -> Option<Side> {
        let digest = self.digest.as_ref()?;
        let value = headers.get(&self.header)?.as_bytes().trim_ascii();
        let stable = value.strip_prefix(STABLE.as_bytes()).map(<[u8]>::trim_ascii_start);
        let (side, secret) = match stable {
            Some(secret) => (Side::Stable, secret),
            None => (Side::Canary, value),
        };
        let same = Sha256::digest(secret).ct_eq(digest);
        bool::from(same).then_some(side)
    }
}

impl Sign {
    fn of(segment: &Segment) -> Result<Self, String> {
        let values = segment.values.clone();
        match &segment.mark {
            Mark::Header(header) => Ok(Self::Header(name(header)?, values)),
            Mark::Cookie(cookie) => {
                name(cookie)?;
                Ok(Self::Cookie(cookie.clone(), values))
            }
        }
    }

    fn is_on(&self, headers: &HeaderMap) -> bool {
        let (found, values) = match self {
            Self::Header(header, values) => {
                (headers.get(header).map(|value| value.as_bytes().trim_ascii()), values)
            }
            Self::Cookie(name, values) => (cookie(headers, name).map(str::as_bytes), values),
        };
        found.is_some_and(|found| values.iter().any(|value| value.as_bytes() == found))
    }
}

fn name(text: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| format!("{text:?} names no header or cookie"))
}

/// 32 bytes, of 64 hexadecimal digits.
fn digest(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let mut digits = text.chars().map(|digit| digit.to_digit(16).map(u8::try_from));
    for byte in &mut bytes {
        let mut digit = || digits.next().flatten().and_then(Result::ok);
        *byte = digit()? << 4 | digit()?;
    }
    digits.next().is_none().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use http::header::{COOKIE, HeaderValue};
    use std::fmt::Write;

    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map
    }

    fn testers(secret: &str) -> Testers {
        let text = Sha256::digest(secret).iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
        Testers { header: HeaderName::from_static("x-canary"), digest: digest(&text) }
    }

    fn sign(mark: Mark, values: &[&str]) -> Sign {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Sign::of(&Segment { mark, values }).unwrap()
    }

    #[test]
    fn testers_are_known_by_the_secret_alone() {
        let testers = testers("correct horse battery");
        for (value, side) in [
            ("correct horse battery", Some(Side::Canary)),
            ("stable correct horse battery", Some(Side::Stable)),
            ("stable", None),
            ("Correct horse battery", None),
            ("correct horse batter", None),
            ("", None),
        ] {
            assert_eq!(testers.asked(&map(&[("x-canary", value)])), side, "{value:?}");
        }
        assert_eq!(testers.asked(&HeaderMap::new()), None);
    }

    #[test]
    fn testers_come_before_those_who_never_and_those_before_who_always() {
        let tenant = || Mark::Header("X-Tenant".to_owned());
        let chosen = Chosen {
            testers: Some(testers("correct horse battery")),
            always: vec![sign(tenant(), &["a", "b"])],
            never: vec![sign(Mark::Cookie("plan".to_owned()), &["gold"])],
        };
        let gold = (COOKIE.as_str(), "x=1; plan=gold");
        let secret = ("x-canary", "correct horse battery");
        for (fields, choice) in [
            (&[][..], None),
            (&[("x-tenant", "a")], Some(Choice::Always)),
            (&[("x-tenant", "A")], None),
            (&[("x-tenant", "ab")], None),
            (&[(COOKIE.as_str(), "plan=golden")], None),
            (&[("x-tenant", "b"), gold], Some(Choice::Never)),
            (&[("x-tenant", "b"), gold, secret], Some(Choice::Tester(Side::Canary))),
        ] {
            assert_eq!(chosen.choice(&map(fields)), choice, "{fields:?}");
        }
    }

    #[test]
    fn a_digest_has_64_digits() {
        assert_eq!(digest(&"0f".repeat(32)), Some([15; 32]));
        for text in ["", "0f", &"0g".repeat(32), &"0f".repeat(33)] {
            assert_eq!(digest(text), None, "{text}");
        }
    }
}
