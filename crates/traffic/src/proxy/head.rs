//! The strict reading of request bytes that stands in front of hyper.
//!
//! A proxy that reads a message differently from the server behind it can be made to smuggle
//! one request inside another. hyper forgives several ambiguities (a bare LF ends a line, a
//! `Content-Length` beside `Transfer-Encoding` is dropped, equal duplicates are merged), so
//! every byte of a connection passes this reader first. It follows the framing itself: head,
//! body by length or by chunks, next head.
//!
//! Refused with 400 and a closed connection: a line that ends without CR LF, a CR or NUL
//! inside a line, a request line that is not `method SP target SP HTTP/1.x`, a target with
//! blanks, controls, `#` or bytes that are no UTF-8, a folded header line, a blank before the
//! colon, a name that is no token, a control byte in a value, more than one `Content-Length` (even equal ones) or one
//! that is no plain number, both `Content-Length` and `Transfer-Encoding`, any transfer coding
//! but a single `chunked`, `Transfer-Encoding` in HTTP/1.0, a missing (1.1), empty, repeated
//! or malformed `Host`, a chunk size that is no plain hexadecimal number, chunk data that is
//! not followed by CR LF. Size limits are hyper's: 431 for a head that is too large.

/// Longest line that is looked at whole; hyper refuses such a head itself.
const LINE_BYTES: usize = super::settings::HEAD_BYTES;
/// Longest chunk-size line with its extensions.
const CHUNK_LINE_BYTES: usize = 4 * 1024;
/// HTTP/2 as a protocol to change to. It is never changed to: what follows would pass this
/// proxy unread.
pub(crate) const H2C: &[u8] = b"h2c";
/// Empty lines forgiven before a request line (RFC 9112, 2.2).
const EMPTY_LINES: u8 = 4;

/// Where a refused message went wrong: every byte before `at` may be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Offset within the bytes just read.
    pub at: usize,
}

/// Where the reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    Header,
    Body(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailer,
    /// After a head that asks for an upgrade: the bytes may be of another protocol.
    Opaque,
}

/// What the header lines of one head said about framing.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is said or not said, whatever the others are"
)]
struct Facts {
    http_11: bool,
    connect: bool,
    hosts: u8,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
    h2c: bool,
    connection_upgrade: bool,
}

/// Reads a connection's bytes as they come; see the module.
#[derive(Debug)]
pub(crate) struct HeadReader {
    at: At,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    facts: Facts,
    empty_lines: u8,
    heads: u32,
    line_bytes: usize,
}

impl HeadReader {
    /// Stands before the first head.
    pub(crate) const fn new() -> Self {
        Self {
            at: At::Start,
            line: Vec::new(),
            facts: Facts {
                http_11: false,
                connect: false,
                hosts: 0,
                length: None,
                chunked: false,
                upgrade: false,
                h2c: false,
                connection_upgrade: false,
            },
            empty_lines: 0,
            heads: 0,
            line_bytes: LINE_BYTES,
        }
    }

    /// The same, for lines of at most so many bytes.
    pub(crate) const fn with_line_of(mut self, bytes: usize) -> Self {
        self.line_bytes = bytes;
        self
    }

    /// How many heads were read to their end; wraps.
    pub(crate) const fn heads(&self) -> u32 {
        self.heads
    }

    /// What the last head said of its body: its length, and whether it is chunked.
    #[cfg(any(test, fuzzing))]
    pub(crate) const fn framing(&self) -> (Option<u64>, bool) {
        (self.facts.length, self.facts.chunked)
    }

    /// Bytes left of the chunk whose size was just read; 0 for the last one.
    #[cfg(test)]
    pub(crate) const fn chunk_left(&self) -> Option<u64> {
        match self.at {
            At::ChunkData(left) => Some(left),
            At::Trailer => Some(0),
            _ => None,
        }
    }

    /// Nothing of the next head has come yet.
    pub(crate) const fn between_messages(&self) -> bool {
        matches!(self.at, At::Start) && self.line.is_empty()
    }

    /// A head has begun and not ended.
    pub(crate) const fn within_head(&self) -> bool {
        matches!(self.at, At::Start | At::Header) && !self.between_messages()
    }

    /// A body has begun and not ended.
    pub(crate) const fn within_body(&self) -> bool {
        !matches!(self.at, At::Start | At::Header | At::Opaque)
    }

    /// The last head asks for an upgrade; what follows is not read.
    pub(crate) const fn is_opaque(&self) -> bool {
        matches!(self.at, At::Opaque)
    }

    /// Reads on, but not beyond the end of a head: how many bytes were read.
    ///
    /// # Errors
    /// When what is read is refused.
    pub(crate) fn read_head(&mut self, bytes: &[u8]) -> Result<usize, Refused> {
        let (heads, mut rest) = (self.heads, bytes);
        while !rest.is_empty() && self.heads == heads {
            let refused = Refused { at: bytes.len().saturating_sub(rest.len()) };
            rest = self.line_of(rest).ok_or(refused)?;
        }
        Ok(bytes.len().saturating_sub(rest.len()))
    }

    /// Reads on. On a refusal nothing after it may be read.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let refused = Refused { at: bytes.len().saturating_sub(rest.len()) };
            rest = match self.at {
                At::Opaque => return Ok(()),
                At::Body(left) => self.skip(rest, left, At::Body, At::Start),
                At::ChunkData(left) => self.skip(rest, left, At::ChunkData, At::ChunkEnd),
                At::Start | At::Header | At::ChunkSize | At::ChunkEnd | At::Trailer => {
                    self.line_of(rest).ok_or(refused)?
                }
            };
        }
        Ok(())
    }

    /// Passes over at most `left` bytes of a body.
    fn skip<'a>(&mut self, bytes: &'a [u8], left: u64, on: fn(u64) -> At, then: At) -> &'a [u8] {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left.saturating_sub(here as u64);
        self.at = if left == 0 { then } else { on(left) };
        bytes.get(here..).unwrap_or_default()
    }

    /// Takes one line, or what there is of it. `None` refuses.
    fn line_of<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            let before = self.line.len().saturating_sub(1);
            self.line.extend_from_slice(bytes);
            // Nothing that still comes can make these right.
            let fresh = self.line.get(before..self.line.len().saturating_sub(1));
            if memchr::memchr(b'\r', fresh.unwrap_or_default()).is_some() {
                return None;
            }
            let limit = if self.within_body() { CHUNK_LINE_BYTES } else { self.line_bytes };
            return (self.line.len() <= limit).then_some(&[]);
        };
        let (line, rest) = bytes.split_at_checked(end.saturating_add(1))?;
        if self.line.is_empty() {
            self.take(line)?;
        } else {
            let mut whole = std::mem::take(&mut self.line);
            whole.extend_from_slice(line);
            let taken = self.take(&whole);
            whole.clear();
            self.line = whole;
            taken?;
        }
        Some(rest)
    }

    fn take(&mut self, line: &[u8]) -> Option<()> {
        let line = line.strip_suffix(b"\r\n")?;
        if memchr::memchr2(b'\r', 0, line).is_some() {
            return None;
        }
        match self.at {
            At::Start => self.request_line(line),
            At::Header if line.is_empty() => self.end_of_head(),
            At::Header => self.header(line),
            At::ChunkSize => self.chunk_size(line),
            At::ChunkEnd => {
                self.at = At::ChunkSize;
                line.is_empty().then_some(())
            }
            At::Trailer if line.is_empty() => {
                self.at = At::Start;
                Some(())
            }
            At::Trailer => field(line).map(drop),
            At::Body(_) | At::ChunkData(_) | At::Opaque => None,
        }
    }

    fn request_line(&mut self, line: &[u8]) -> Option<()> {
        if line.is_empty() {
            self.empty_lines = self.empty_lines.saturating_add(1);
            return (self.empty_lines <= EMPTY_LINES).then_some(());
        }
        let mut parts = line.split(|&byte| byte == b' ');
        let (method, target, version) = (parts.next()?, parts.next()?, parts.next()?);
        let target_is_plain =
            target.iter().all(|&byte| byte > b' ' && byte != 0x7f && byte != b'#')
                && std::str::from_utf8(target).is_ok();
        if parts.next().is_some() || !is_token(method) || target.is_empty() || !target_is_plain {
            return None;
        }
        self.facts = Facts { connect: method == b"CONNECT", ..Facts::default() };
        self.facts.http_11 = match version {
            b"HTTP/1.1" => true,
            b"HTTP/1.0" => false,
            _ => return None,
        };
        self.empty_lines = 0;
        self.at = At::Header;
        Some(())
    }

    fn header(&mut self, line: &[u8]) -> Option<()> {
        let (name, value) = field(line)?;
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                self.facts.hosts = self.facts.hosts.saturating_add(1);
                return (self.facts.hosts == 1 && is_host(value)).then_some(());
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let first = self.facts.length.is_none();
                self.facts.length = Some(length(value)?);
                return first.then_some(());
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                let first = !std::mem::replace(&mut self.facts.chunked, true);
                let allowed = self.facts.http_11 && value.eq_ignore_ascii_case(b"chunked");
                return (first && allowed).then_some(());
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.facts.upgrade = true;
                self.facts.h2c |= lists(value, H2C);
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.facts.connection_upgrade |= lists(value, b"upgrade");
            }
            _ => {}
        }
        Some(())
    }

    fn end_of_head(&mut self) -> Option<()> {
        let facts = self.facts;
        if (facts.http_11 && facts.hosts == 0) || (facts.chunked && facts.length.is_some()) {
            return None;
        }
        let upgrade = facts.upgrade && facts.connection_upgrade && !facts.h2c && facts.http_11;
        self.at = match facts.length {
            _ if facts.chunked => At::ChunkSize,
            Some(length) if length > 0 => At::Body(length),
            _ if upgrade || facts.connect => At::Opaque,
            _ => At::Start,
        };
        self.heads = self.heads.wrapping_add(1);
        Some(())
    }

    fn chunk_size(&mut self, line: &[u8]) -> Option<()> {
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, extension) = line.split_at_checked(digits)?;
        let extension_is_plain =
            extension.first().is_none_or(|&byte| byte == b';') && is_plain(extension);
        if !(1..=15).contains(&digits) || !extension_is_plain {
            return None;
        }
        let size = u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        self.at = if size == 0 { At::Trailer } else { At::ChunkData(size) };
        Some(())
    }
}

/// A header line as name and trimmed value; `None` when it is malformed or folded.
pub(crate) fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = line.split_at_checked(colon)?;
    let value = value.get(1..)?;
    // Blanks are trimmed after that: what else counts as white space is a control byte here.
    (is_token(name) && is_plain(value)).then_some((name, value.trim_ascii()))
}

fn is_token(bytes: &[u8]) -> bool {
    let allowed = |byte: &u8| {
        matches!(
            byte,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'!' | b'#' | b'$' | b'%'
                | b'&' | b'\'' | b'*' | b'+' | b'.' | b'^' | b'`' | b'|' | b'~'
        )
    };
    !bytes.is_empty() && bytes.iter().all(allowed)
}

/// No control byte but the tab.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| (byte >= b' ' && byte != 0x7f) || byte == b'\t')
}

/// Whether these bytes may name a host, with or without a port.
pub(crate) fn is_host(value: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(byte);
    !value.is_empty() && value.iter().all(allowed)
}

/// A plain decimal number of at most 18 digits.
pub(crate) fn length(value: &[u8]) -> Option<u64> {
    let plain = (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    plain.then(|| std::str::from_utf8(value).ok()?.parse().ok()).flatten()
}

/// Whether a comma-separated list names `word`.
pub(crate) fn lists(value: &[u8], word: &[u8]) -> bool {
    value.split(|&byte| byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests;
