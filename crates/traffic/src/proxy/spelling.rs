//! A path in another spelling: as a server that decodes and tidies paths may read it.
//!
//! What a request is for is decided on the path as it came, and that is what goes on. Whoever
//! answers may read the same path otherwise: `/%61pi`, `//api` and `\api` as `/api`, `/api;v=1`
//! as `/api`, `/x/../api` as `/api`. Where paths decide about services, a request that one
//! reading sends here and another there is for neither.
//!
//! Without dot segments, every step of a second reading (to decode, to take `\` for `/`, to
//! drop parameters, to merge slashes) can only make more of a path's beginning equal to a
//! prefix that has no second spelling itself. So when the first reading (none of the steps) and
//! the last (all of them) lead to the same service, every one in between does.

use std::borrow::Cow;

/// A segment that is `.` or `..` in some spelling: who reads it decides where it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dots;

/// The path as whoever does everything to it reads it; as it is where there is nothing to do.
///
/// # Errors
/// When it has a dot segment.
pub(crate) fn second(path: &str) -> Result<Cow<'_, [u8]>, Dots> {
    let bytes = path.as_bytes();
    let doubtful = |pair: &[u8]| matches!(pair, b"//" | b"/.");
    if !bytes.iter().any(|byte| b"%\\;".contains(byte)) && !bytes.windows(2).any(doubtful) {
        return Ok(Cow::Borrowed(bytes));
    }
    let decoded = decode(bytes);
    let mut read = Vec::with_capacity(decoded.len());
    for segment in decoded.split(|&byte| byte == b'/' || byte == b'\\') {
        let name = segment.split(|&byte| byte == b';').next().unwrap_or_default();
        match name {
            b"." | b".." => return Err(Dots),
            b"" => {}
            name => {
                read.push(b'/');
                read.extend_from_slice(name);
            }
        }
    }
    if read.is_empty() {
        read.push(b'/');
    }
    Ok(Cow::Owned(read))
}

/// With `%61` as `a`, once; a `%` without two digits after it stays.
fn decode(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    while let Some((&first, rest)) = bytes.split_first() {
        bytes = rest;
        match rest.split_first_chunk::<2>() {
            Some((&[high, low], after)) if first == b'%' => match digit(high).zip(digit(low)) {
                Some((high, low)) => {
                    out.push(high << 4 | low);
                    bytes = after;
                }
                None => out.push(first),
            },
            _ => out.push(first),
        }
    }
    out
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_path_is_read_as_one() {
        for path in [
            "/%61pi/x",
            "//api/x",
            "/api//x",
            "/api/x;v=1",
            "/api;a/x",
            "\\api\\x",
            "/api%2fx",
            "/api%5Cx",
        ] {
            assert_eq!(second(path).unwrap(), &b"/api/x"[..], "{path}");
        }
        for path in ["/api/x", "/", "/a.b/c..d", "*"] {
            assert_eq!(second(path).unwrap(), path.as_bytes(), "{path}");
        }
        assert_eq!(second("//").unwrap(), &b"/"[..]);
        assert_eq!(second("/.well-known/x").unwrap(), &b"/.well-known/x"[..]);
        assert_eq!(second("/%zz%2").unwrap(), &b"/%zz%2"[..]);
        assert_eq!(second("/%2561").unwrap(), &b"/%61"[..], "once");
    }

    #[test]
    fn dot_segments_are_found_in_every_spelling() {
        for path in [
            "/a/../b",
            "/a/./b",
            "/..",
            "/.",
            "/a/%2e%2e/b",
            "/a/.%2E/b",
            "/a%2f..%2fb",
            "/a\\..\\b",
            "/a/..;x/b",
            "/a/..%3bx/b",
            "/a%5c%2e%2e",
        ] {
            assert_eq!(second(path), Err(Dots), "{path}");
        }
    }
}
