//! The client's side of a connection that carries plain requests.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::super::behind::Bounds;
use super::super::head::HeadReader;
use super::super::stream::Stream;
use super::buffer::Buffer;
use super::patience::Patience;

/// Bytes read at once: an ordinary head.
const PIECE: usize = 4 * 1024;
/// What is read ahead of a client that sends more before it has its answer.
const AHEAD: usize = 32 * 1024;
/// How long a client may take to see that its connection ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: Stream,
    read: Buffer,
    /// It closed its sending half.
    ended: bool,
    patience: Patience,
    bounds: Bounds,
    /// When its last answer was complete.
    rests_since: Option<Instant>,
    /// Since when it takes nothing of what is there for it, and the bytes that had gone then.
    blocked: Option<(Instant, u64)>,
}

/// What comes next from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A whole head of so many bytes, read strictly.
    Head(usize),
    /// Something that is not for here.
    Other,
    /// Nothing.
    End,
}

impl Peer {
    /// Nothing was read yet.
    pub(crate) fn new(stream: Stream, bounds: Bounds) -> Self {
        Self {
            stream,
            read: Buffer::default(),
            ended: false,
            patience: Patience::default(),
            bounds,
            rests_since: None,
            blocked: None,
        }
    }

    /// The stream as it was before what is unread was read.
    pub(crate) fn into_unread(mut self) -> Stream {
        self.stream.put_back(self.read.unread());
        self.stream
    }

    /// Waits for the next head, of at most `most` bytes. `silent`: the connection
    /// is told to go, and does so unless a head has begun, or the first is still to come.
    pub(crate) async fn next(&mut self, most: usize, silent: &Cell<bool>) -> Next {
        self.read.shrink(AHEAD);
        let (mut reader, mut checked) = (HeadReader::new(), 0);
        let mut by = match self.rests_since {
            Some(since) => since.checked_add(self.bounds.idle),
            None => Instant::now().checked_add(self.bounds.head),
        };
        let served = self.rests_since.is_some();
        poll_fn(|cx| {
            loop {
                let nothing_yet = checked == 0;
                if let Some(next) = self.look(&mut reader, &mut checked, most) {
                    return Poll::Ready(next);
                }
                if checked > 0 && nothing_yet && served {
                    by = Instant::now().checked_add(self.bounds.head);
                }
                if self.ended || (silent.get() && served && checked == 0) {
                    return Poll::Ready(if checked == 0 { Next::End } else { Next::Other });
                }
                match self.read.poll_fill(&mut self.stream, PIECE, most.max(PIECE), cx) {
                    Poll::Ready(Ok(0)) => self.ended = true,
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(Next::End),
                    Poll::Pending if self.patience.is_over(by, cx) => {
                        return Poll::Ready(Next::End);
                    }
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// Looks at what was read and not looked at. The strict reading stops at the end of the head:
    /// what follows is looked at when its turn comes.
    fn look(&self, reader: &mut HeadReader, checked: &mut usize, most: usize) -> Option<Next> {
        let fresh = self.read.unread().get(*checked..).filter(|fresh| !fresh.is_empty())?;
        let read = reader.read_head(fresh).ok();
        *checked = checked.saturating_add(read.unwrap_or_default());
        match read {
            Some(_) if reader.heads() == 0 && *checked < most => None,
            Some(_) if reader.heads() > 0 && *checked <= most => Some(Next::Head(*checked)),
            _ => Some(Next::Other),
        }
    }

    /// It has had a whole answer since `now`.
    pub(crate) const fn rests(&mut self, now: Instant) {
        self.rests_since = Some(now);
    }

    /// The first `count` bytes of what is unread.
    pub(crate) fn peek(&self, count: usize) -> &[u8] {
        self.read.unread().get(..count).unwrap_or_default()
    }

    /// Uses the first `count` bytes.
    pub(crate) fn advance(&mut self, count: usize) {
        self.read.advance(count);
    }

    /// Waits until `count` bytes are unread; false when they will not come.
    pub(crate) async fn has(&mut self, count: usize) -> bool {
        let mut by = Instant::now().checked_add(self.bounds.idle);
        poll_fn(|cx| {
            while self.read.unread().len() < count {
                match self.read.poll_fill(&mut self.stream, PIECE, count.max(PIECE), cx) {
                    Poll::Ready(Ok(more)) if more > 0 => {
                        by = Instant::now().checked_add(self.bounds.idle);
                    }
                    Poll::Ready(end) => {
                        self.ended = end.is_ok();
                        return Poll::Ready(false);
                    }
                    Poll::Pending if self.patience.is_over(by, cx) => return Poll::Ready(false),
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(true)
        })
        .await
    }

    /// Whether it closed its sending half.
    pub(crate) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Ready when the client is gone: it reset the connection. One that only closed its sending
    /// half waits for its answer.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.ended && !self.read.is_full(AHEAD) {
            match ready!(self.read.poll_fill(&mut self.stream, PIECE, AHEAD, cx)) {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    /// Writes once, from what is first and what is next. Fails when the client takes nothing for
    /// too long.
    pub(crate) fn poll_write(
        &mut self,
        first: &[u8],
        next: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let written = match (first.is_empty(), next.is_empty()) {
            (_, true) => stream.poll_write(cx, first),
            (true, false) => stream.poll_write(cx, next),
            (false, false) => {
                stream.poll_write_vectored(cx, &[IoSlice::new(first), IoSlice::new(next)])
            }
        };
        self.unless_blocked(written, cx)
    }

    /// Has everything that was written go out.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.unless_blocked(flushed, cx)
    }

    fn unless_blocked<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.blocked = None;
            return polled;
        }
        let gone = self.stream.gone();
        let (since, _) = match self.blocked.filter(|blocked| blocked.1 == gone) {
            Some(blocked) => blocked,
            None => *self.blocked.insert((Instant::now(), gone)),
        };
        if self.patience.is_over(since.checked_add(self.bounds.idle), cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }

    /// Writes all of it; false when the client is gone.
    pub(crate) async fn tell(&mut self, bytes: &[u8]) -> bool {
        let mut told = 0;
        let written = poll_fn(|cx| {
            while let Some(rest) = bytes.get(told..).filter(|rest| !rest.is_empty()) {
                let count = ready!(self.poll_write(rest, &[], cx))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                told = told.saturating_add(count);
            }
            self.poll_flush(cx)
        });
        written.await.is_ok()
    }

    /// Ends the connection after its last answer.
    pub(crate) async fn farewell(mut self) {
        drop(timeout(FAREWELL, self.stream.shutdown()).await);
    }
}
