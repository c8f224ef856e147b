//! The same bytes to two readers, and what goes on to others read again.

use super::fields;
use super::head::HeadReader;
use super::lean::{Chunks, Outgoing, Plain};
use super::origin::Origin;

/// What a head says, as far as framing and routing go.
#[derive(Debug, PartialEq)]
struct Meant {
    end: usize,
    length: Option<u64>,
    chunked: bool,
}

/// Byte by byte; `None` refuses, and 0 is the end of a head that is not whole.
fn ours(bytes: &[u8]) -> Option<Meant> {
    let mut reader = HeadReader::new();
    for (n, byte) in bytes.iter().enumerate() {
        reader.read(&[*byte]).ok()?;
        if reader.heads() == 1 {
            let (length, chunked) = reader.framing();
            return Some(Meant { end: n + 1, length, chunked });
        }
    }
    Some(Meant { end: 0, length: None, chunked: false })
}

/// Whether it refuses the same bytes cut in two at `cut`.
fn refuses_in_two(bytes: &[u8], cut: usize) -> bool {
    let mut reader = HeadReader::new();
    let (first, second) = bytes.split_at(cut);
    reader.read(first).and_then(|()| reader.read(second)).is_err()
}

/// How httparse reads it, and why we would refuse what it takes.
fn theirs(bytes: &[u8]) -> Option<(Meant, Option<&'static str>)> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    let end = match request.parse(bytes).ok()? {
        httparse::Status::Complete(end) => end,
        httparse::Status::Partial => {
            return Some((Meant { end: 0, length: None, chunked: false }, None));
        }
    };
    let all = |name: &str| -> Vec<&[u8]> {
        let named = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value.trim_ascii()).collect()
    };
    let (lengths, codings, hosts) = (all("content-length"), all("transfer-encoding"), all("host"));
    let number = |value: &&[u8]| std::str::from_utf8(value).ok()?.parse::<u64>().ok();
    let meant = Meant {
        end,
        length: lengths.first().and_then(number),
        chunked: codings.first().is_some_and(|value| value.eq_ignore_ascii_case(b"chunked")),
    };
    let head = &bytes[..end];
    let http_11 = request.version == Some(1);
    let host = |value: &&[u8]| {
        !value.is_empty()
            && value
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(byte))
    };
    let plain =
        |value: &&[u8]| (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    let begins = head.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or_default();
    let why = [
        (
            "a bare LF",
            head.iter()
                .enumerate()
                .any(|(n, &byte)| byte == b'\n' && (n == 0 || head[n - 1] != b'\r')),
        ),
        ("empty lines", begins > 8),
        ("the hosts", hosts.len() > 1 || (http_11 && hosts.is_empty()) || !hosts.iter().all(host)),
        ("the length", lengths.len() > 1 || !lengths.iter().all(plain)),
        (
            "the coding",
            !codings.is_empty()
                && (codings.len() > 1 || !meant.chunked || !http_11 || !lengths.is_empty()),
        ),
        (
            "the target",
            request
                .path
                .unwrap_or_default()
                .bytes()
                .any(|byte| byte <= b' ' || byte == 0x7f || byte == b'#'),
        ),
    ];
    Some((meant, why.iter().find(|(_, so)| *so).map(|(why, _)| *why)))
}

/// Reads `bytes` both ways, ours also cut in two at `cut`: what came of it.
///
/// # Panics
/// When the two disagree without a reason.
pub fn head(bytes: &[u8], cut: usize) -> &'static str {
    let text = || String::from_utf8_lossy(bytes);
    let (mine, other) = (ours(bytes), theirs(bytes));
    assert_eq!(refuses_in_two(bytes, cut), refuses_in_two(bytes, 0), "cut, {:?}", text());
    match (mine, other) {
        (Some(mine), Some((other, _))) if mine.end > 0 => {
            assert_eq!(mine, other, "{:?}", text());
            "both take it, as the same"
        }
        (Some(mine), None) => {
            assert_eq!(mine.end, 0, "taken by us alone: {:?}", text());
            "theirs refuses before ours has all of it"
        }
        (Some(_), Some((other, why))) => {
            assert!(other.end == 0 || why.is_some(), "only theirs has all of it: {:?}", text());
            "neither has all of it"
        }
        (None, None) => "both refuse it",
        (None, Some((other, _))) if other.end == 0 => "ours refuses before theirs has all of it",
        (None, Some((_, why))) => why.unwrap_or_else(|| panic!("no reason to refuse {:?}", text())),
    }
}

/// A plain request, as it goes on to an upstream, is one request there and no more: whether it
/// was one.
///
/// # Panics
/// When it reads as anything else.
pub fn forwarded(bytes: &[u8]) -> bool {
    let mut reader = HeadReader::new();
    let Some(end) = reader.read_head(bytes).ok().filter(|_| reader.heads() == 1) else {
        return false;
    };
    let Some(mut plain) = Plain::of(&bytes[..end], 100) else {
        return false;
    };
    let body = vec![b'x'; plain.body];
    let origin = Origin::new(([192, 0, 2, 1], 80).into(), false, &[]);
    let asker = origin.asker(&plain.head.headers);
    fields::for_upstream(&mut plain.head.headers, plain.head.version, &asker, None);
    let mut outgoing = Outgoing::default();
    outgoing.put(&plain.head, &body);
    let (text, mut there) = (String::from_utf8_lossy(outgoing.bytes()), HeadReader::new());
    assert!(there.read(outgoing.bytes()).is_ok(), "refused: {text:?}");
    assert!(there.heads() == 1 && there.between_messages(), "more than one request: {text:?}");
    true
}

/// A body in chunks, as it goes on to a client, is the same body: whether it was one.
///
/// # Panics
/// When it is not.
pub fn passed_on(bytes: &[u8]) -> bool {
    let (mut chunks, mut out) = (Chunks::default(), Vec::new());
    let Ok((_, data)) = chunks.pass(bytes, true, &mut out) else {
        return false;
    };
    if !chunks.is_done() {
        return false;
    }
    let mut client = HeadReader::new();
    client.read(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    let text = String::from_utf8_lossy(&out);
    assert!(client.read(&out).is_ok() && client.between_messages(), "{text:?}");
    let (mut again, mut same) = (Chunks::default(), Vec::new());
    assert_eq!(again.pass(&out, true, &mut same), Ok((out.len(), data)), "{text:?}");
    assert_eq!(same, out, "{text:?}");
    true
}
