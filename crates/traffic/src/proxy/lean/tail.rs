//! How the head of an answer ends: with what is the proxy's to say.

use http::header::HeaderValue;

/// What an answer's head ends with.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four things that have nothing in common")]
pub(crate) struct Tail {
    /// Stable answers in the canary's place, and is to say so.
    pub marked: bool,
    /// Keeps a new user on its side.
    pub cookie: Option<HeaderValue>,
    /// The client closes the connection.
    pub closes: bool,
    /// The client takes fields after a body.
    pub trailers: bool,
    /// It asked for the head alone.
    pub to_head: bool,
}

impl Tail {
    /// Writes it. `closes`: the connection ends with this answer.
    pub(crate) fn write(&self, out: &mut Vec<u8>, closes: bool) {
        if self.marked {
            out.extend_from_slice(b"sluice-shielded: 1\r\n");
        }
        if let Some(cookie) = &self.cookie {
            out.extend_from_slice(b"set-cookie: ");
            out.extend_from_slice(cookie.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if closes {
            out.extend_from_slice(b"connection: close\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}
