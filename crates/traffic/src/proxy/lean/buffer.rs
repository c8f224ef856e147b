//! Bytes that were read and not used yet.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// See the module. What it holds is zeroed once, when it grows, and then only overwritten.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// What was read and not used.
    pub(crate) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Uses the first `count` bytes.
    pub(crate) fn advance(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Gives memory back that a large message took, when nothing is unread.
    pub(crate) fn shrink(&mut self, to: usize) {
        if self.bytes.len() > to && self.start == self.end {
            *self = Self::default();
        }
    }

    /// Reads once; how much, 0 at the end of input. There is room for `least` bytes at the
    /// beginning; a buffer that was read full is doubled, up to `most`.
    pub(crate) fn poll_fill(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        least: usize,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.make_room(least, most);
        let mut room = ReadBuf::new(self.bytes.get_mut(self.end..).unwrap_or_default());
        ready!(Pin::new(from).poll_read(cx, &mut room))?;
        let count = room.filled().len();
        self.end = self.end.saturating_add(count);
        Poll::Ready(Ok(count))
    }

    /// Whether it holds `most` bytes, so that nothing more can be read.
    pub(crate) const fn is_full(&self, most: usize) -> bool {
        self.end.saturating_sub(self.start) >= most
    }

    fn make_room(&mut self, least: usize, most: usize) {
        if self.end < self.bytes.len() {
            return;
        }
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end.saturating_sub(self.start));
        } else {
            let doubled = self.bytes.len().saturating_mul(2).clamp(least, most.max(least));
            self.bytes.resize(doubled, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(buffer: &mut Buffer, from: &mut &[u8]) -> usize {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(Ok(count)) = buffer.poll_fill(from, 4, 8, &mut cx) else { panic!("ready") };
        count
    }

    #[test]
    fn it_grows_up_to_its_limit_and_moves_what_is_unread_to_its_beginning() {
        let (mut buffer, mut from) = (Buffer::default(), &b"0123456789ab"[..]);
        assert_eq!(fill(&mut buffer, &mut from), 4);
        assert_eq!(fill(&mut buffer, &mut from), 4);
        assert!(buffer.is_full(8));
        buffer.advance(3);
        assert_eq!(buffer.unread(), b"34567");
        assert_eq!(fill(&mut buffer, &mut from), 3);
        assert_eq!(buffer.unread(), b"3456789a");
        buffer.advance(8);
        assert_eq!(fill(&mut buffer, &mut from), 1);
        assert_eq!(buffer.unread(), b"b");
        assert_eq!(fill(&mut buffer, &mut from), 0, "the end");
        buffer.advance(1);
        buffer.shrink(4);
        assert_eq!(buffer.bytes.len(), 0);
    }
}
