//! The head of an upstream's answer: checked, framed, and put as the client is to read it.

use std::mem::MaybeUninit;

use super::super::fields::{self, is_of_connection};
use super::super::grpc;
use super::super::head::{length, lists};
use super::super::settings::HEADERS;

/// What is known of an answer from its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub status: u16,
    pub framing: Framing,
    /// The connection may carry another request.
    pub keeps: bool,
    /// It is one of gRPC.
    pub grpc: bool,
    /// It says that the call failed.
    pub grpc_failed: bool,
}

/// How the end of a body is known (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// What reading a head came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// There is more to come.
    Partial,
    /// It is all there.
    Whole(Head),
    /// It is none, or one whose framing could be understood in two ways.
    Malformed,
}

/// What the fields of one head say.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is said or not said, whatever the others are"
)]
struct Facts {
    lengths: Option<u64>,
    chunked: bool,
    /// A coding is named that is none: whatever length is said, the body ends with the connection.
    to_end: bool,
    close: bool,
    keep_alive: bool,
    grpc: bool,
    grpc_failed: bool,
}

/// Reads a head; how many bytes it takes, 0 when it is not all there. `to_head`: it answers a
/// `HEAD`. An interim head (1xx) is taken and said to be partial. Into `out` goes the head for
/// the client but for its last, empty line.
pub(crate) fn read(bytes: &[u8], to_head: bool, out: &mut Vec<u8>) -> (usize, Read) {
    let mut room = [const { MaybeUninit::uninit() }; HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let used = match config.parse_response_with_uninit_headers(&mut response, bytes, &mut room) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return (0, Read::Partial),
        Err(_) => return (0, Read::Malformed),
    };
    let status = response.code.unwrap_or_default();
    match status {
        // Nobody was asked to change the protocol.
        101 | 0..=99 => return (used, Read::Malformed),
        102..=199 | 100 => return (used, Read::Partial),
        _ => {}
    }
    let Some(facts) = Facts::of(response.headers) else {
        return (used, Read::Malformed);
    };
    let newer = response.version == Some(1);
    if facts.chunked && !newer {
        return (used, Read::Malformed);
    }
    let framing = facts.framing(status, to_head);
    write_line(out, status, response.reason.unwrap_or_default());
    write_fields(out, response.headers, status, facts.chunked || facts.to_end);
    if framing == Framing::Close || (facts.chunked && framing == Framing::Chunked) {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    let keeps = !facts.close && (newer || facts.keep_alive) && framing != Framing::Close;
    let Facts { grpc, grpc_failed, .. } = facts;
    (used, Read::Whole(Head { status, framing, keeps, grpc, grpc_failed }))
}

impl Facts {
    /// `None` when they contradict each other.
    fn of(fields: &[httparse::Header<'_>]) -> Option<Self> {
        let mut facts = Self::default();
        for field in fields {
            let (name, value) = (field.name, field.value.trim_ascii());
            match name.len() {
                14 if name.eq_ignore_ascii_case("content-length") => {
                    let said = length(value)?;
                    if facts.lengths.replace(said).is_some_and(|before| before != said) {
                        return None;
                    }
                }
                17 if is_no_coding(name, value) => facts.to_end = true,
                // Nobody was told that other codings are welcome.
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    if facts.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                        return None;
                    }
                    facts.chunked = true;
                }
                10 if name.eq_ignore_ascii_case("connection") => {
                    facts.close |= lists(value, b"close");
                    facts.keep_alive |= lists(value, b"keep-alive");
                }
                12 if name.eq_ignore_ascii_case("content-type") => {
                    facts.grpc |= value.starts_with(grpc::KIND);
                }
                11 if name.eq_ignore_ascii_case("grpc-status") => {
                    facts.grpc_failed |= grpc::is_failure(value);
                }
                _ => {}
            }
        }
        facts.grpc_failed &= facts.grpc;
        Some(facts)
    }

    fn framing(&self, status: u16, to_head: bool) -> Framing {
        match self.lengths {
            _ if to_head || status == 204 || status == 304 => Framing::Length(0),
            _ if self.chunked => Framing::Chunked,
            _ if self.to_end => Framing::Close,
            Some(length) => Framing::Length(length),
            None => Framing::Close,
        }
    }
}

/// Whether a line names a transfer coding that changes nothing, as old servers do.
fn is_no_coding(name: &str, value: &[u8]) -> bool {
    name.eq_ignore_ascii_case("transfer-encoding")
        && (value.is_empty() || value.eq_ignore_ascii_case(b"identity"))
}

fn write_line(out: &mut Vec<u8>, status: u16, reason: &str) {
    let digit = |by: u16| {
        let digit = status.checked_div(by).unwrap_or_default() % 10;
        b'0'.saturating_add(u8::try_from(digit).unwrap_or_default())
    };
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&[digit(100), digit(10), digit(1), b' ']);
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Every field that is the message's and not the connection's. A length is said once, and not
/// beside a transfer coding, where it is not the body's.
fn write_fields(out: &mut Vec<u8>, fields: &[httparse::Header<'_>], status: u16, coded: bool) {
    let is_connection =
        |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case("connection");
    let named_by_connection = |name: &str| {
        let mut lines = fields.iter().filter(is_connection);
        fields::may_be_named(name) && lines.any(|line| lists(line.value, name.as_bytes()))
    };
    let named = fields.iter().any(|field| is_connection(&field));
    let mut length_said = coded || status == 204;
    for field in fields {
        let name = field.name;
        let is_length = name.eq_ignore_ascii_case("content-length");
        if (is_length && length_said)
            || is_of_connection(name)
            || (named && named_by_connection(name))
        {
            continue;
        }
        length_said |= is_length;
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(field.value);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests;
