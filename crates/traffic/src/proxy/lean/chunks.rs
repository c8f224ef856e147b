//! Bodies in chunks: read from an upstream, and written anew for the client.

use super::super::fields::is_of_connection;
use super::super::grpc;
use super::super::head::field;
use super::super::settings::HEAD_BYTES;

/// Longest line that gives the size of a chunk.
const LINE_BYTES: usize = 4 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    at: At,
    /// Fields after the body, as the client is to read them.
    trailers: Vec<u8>,
    /// They say that the call failed.
    pub grpc_failed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailer,
    Done,
}

/// The body cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// One step through a body.
enum Step {
    /// So many bytes were used.
    Used(usize),
    /// There have to be more.
    More,
}

impl Chunks {
    /// The whole body was read.
    pub(crate) fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// Reads as far as `bytes` go and writes what the client is to read; `trailers`: it wants
    /// them. How many bytes were used, and how many of them are the body's.
    pub(crate) fn pass(
        &mut self,
        bytes: &[u8],
        trailers: bool,
        out: &mut Vec<u8>,
    ) -> Result<(usize, usize), Malformed> {
        let (mut used, mut data) = (0_usize, 0_usize);
        while self.at != At::Done {
            let rest = bytes.get(used..).unwrap_or_default();
            let step = match self.at {
                At::Data(left) => {
                    let count = self.data(rest, left, out);
                    data = data.saturating_add(count);
                    if count == 0 { Step::More } else { Step::Used(count) }
                }
                _ => self.line(rest)?,
            };
            match step {
                Step::Used(count) => used = used.saturating_add(count),
                Step::More => return Ok((used, data)),
            }
        }
        out.extend_from_slice(b"0\r\n");
        if trailers {
            out.append(&mut self.trailers);
        }
        out.extend_from_slice(b"\r\n");
        Ok((used, data))
    }

    fn data(&mut self, bytes: &[u8], left: u64, out: &mut Vec<u8>) -> usize {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        write(out, bytes.get(..count).unwrap_or_default());
        let left = left.saturating_sub(count as u64);
        self.at = if left == 0 { At::DataEnd } else { At::Data(left) };
        count
    }

    fn line(&mut self, bytes: &[u8]) -> Result<Step, Malformed> {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            let limit = if self.at == At::Trailer { HEAD_BYTES } else { LINE_BYTES };
            return if bytes.len() > limit { Err(Malformed) } else { Ok(Step::More) };
        };
        let line = bytes.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(Malformed)?;
        match self.at {
            At::DataEnd if line.is_empty() => self.at = At::Size,
            At::Size => self.size(line)?,
            At::Trailer if line.is_empty() => self.at = At::Done,
            At::Trailer => self.trailer(line)?,
            At::DataEnd | At::Data(_) | At::Done => return Err(Malformed),
        }
        Ok(Step::Used(end.saturating_add(1)))
    }

    /// Blanks after the number are forgiven: servers that pad it are about, and the client gets
    /// a number without.
    fn size(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let number = line.split(|&byte| byte == b';').next().unwrap_or_default();
        let blanks = number.iter().rev().take_while(|&byte| matches!(byte, b' ' | b'\t')).count();
        let number = number.get(..number.len().saturating_sub(blanks)).unwrap_or_default();
        let plain = (1..=15).contains(&number.len()) && number.iter().all(u8::is_ascii_hexdigit);
        let number = std::str::from_utf8(number).ok().filter(|_| plain).ok_or(Malformed)?;
        let size = u64::from_str_radix(number, 16).map_err(|_| Malformed)?;
        self.at = if size == 0 { At::Trailer } else { At::Data(size) };
        Ok(())
    }

    fn trailer(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let (name, value) = field(line).ok_or(Malformed)?;
        let name = std::str::from_utf8(name).map_err(|_| Malformed)?;
        if name.eq_ignore_ascii_case("grpc-status") {
            self.grpc_failed |= grpc::is_failure(value);
        }
        let framing = ["content-length", "host"].iter().any(|it| name.eq_ignore_ascii_case(it));
        if !framing && !is_of_connection(name) {
            self.trailers.extend_from_slice(name.as_bytes());
            self.trailers.extend_from_slice(b": ");
            self.trailers.extend_from_slice(value);
            self.trailers.extend_from_slice(b"\r\n");
        }
        if self.trailers.len() > HEAD_BYTES { Err(Malformed) } else { Ok(()) }
    }
}

/// Writes one chunk; nothing when there is nothing in it, which would be the last.
pub(crate) fn write(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    let digits = usize::BITS.saturating_sub(data.len().leading_zeros()).div_ceil(4);
    for place in (0..digits).rev() {
        let digit = (data.len() >> place.saturating_mul(4)) & 15;
        out.push(b"0123456789abcdef".get(digit).copied().unwrap_or_default());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
