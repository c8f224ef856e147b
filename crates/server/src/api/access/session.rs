//! Sessions of the dashboard: what a browser holds instead of the token.
//!
//! The cookie is 256 random bits and means nothing by itself; the server keeps its hash. No
//! session survives a restart. The cookie is not `Secure`, and so not `__Host-` either: the
//! server speaks plain HTTP, and on loopback only.

use std::collections::BTreeMap;

use rollout::units::{Millis, Timestamp};
use sha2::{Digest as _, Sha256};

/// The cookie's name.
pub(crate) const COOKIE: &str = traffic::SESSION_COOKIE;
/// How long a session lasts from the login, used or not.
pub(super) const LIFETIME: Millis = Millis::from_secs(12 * 60 * 60);
/// So many at once; the one that would end first gives way.
const MOST: usize = 64;

/// A session as the server knows it: the hash of its cookie.
pub(super) type SessionKey = [u8; 32];

/// The sessions there are.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    ends: BTreeMap<SessionKey, Timestamp>,
}

impl Sessions {
    /// Opens a session for whoever holds `cookie`.
    pub(super) fn open(&mut self, cookie: &str, now: Timestamp) {
        self.ends.retain(|_, end| *end > now);
        if self.ends.len() >= MOST
            && let Some(first) = self.ends.iter().min_by_key(|(_, end)| **end).map(|(key, _)| *key)
        {
            self.ends.remove(&first);
        }
        self.ends.insert(key(cookie), now.plus(LIFETIME));
    }

    /// Whether this session is open.
    pub(super) fn holds(&self, session: &SessionKey, now: Timestamp) -> bool {
        self.ends.get(session).is_some_and(|end| *end > now)
    }

    /// Ends a session.
    pub(super) fn close(&mut self, session: &SessionKey) {
        self.ends.remove(session);
    }
}

/// The session a cookie stands for. What is looked up is the hash, so the time it takes says
/// nothing about the cookie.
pub(super) fn key(cookie: &str) -> SessionKey {
    Sha256::digest(cookie.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_by_time_or_by_logging_out() {
        let now = Timestamp(0);
        let mut sessions = Sessions::default();
        sessions.open("a", now);
        sessions.open("b", now);
        assert!(sessions.holds(&key("a"), Timestamp(now.plus(LIFETIME).0 - 1)));
        assert!(!sessions.holds(&key("a"), now.plus(LIFETIME)));
        sessions.close(&key("b"));
        assert!(!sessions.holds(&key("b"), now));
        assert!(!sessions.holds(&key("c"), now), "never opened");
    }

    #[test]
    fn the_oldest_gives_way_when_there_are_too_many() {
        let at = |n: usize| Timestamp(i64::try_from(n).unwrap());
        let mut sessions = Sessions::default();
        for n in 0..=MOST {
            sessions.open(&n.to_string(), at(n));
        }
        assert_eq!(sessions.ends.len(), MOST);
        assert!(!sessions.holds(&key("0"), at(MOST)));
        assert!(sessions.holds(&key("1"), at(MOST)));
    }
}
