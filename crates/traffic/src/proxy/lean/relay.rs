//! An answer on its way to the client: nothing is held back, nothing is read ahead of a client
//! that does not take it.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::super::count::Cause;
use super::super::visit::Visit;
use super::answer::Framing;
use super::ask::Answer;
use super::chunks::{self, Chunks};
use super::peer::Peer;

/// A piece of a body that is copied behind its head: cheaper than writing from two places.
const TOGETHER: usize = 4 * 1024;

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// Every byte is out.
    Whole,
    /// The upstream broke off in the middle.
    Broken,
    /// The client is gone, or takes nothing.
    Gone,
}

/// What is under way.
#[derive(Debug)]
struct Relay<'a> {
    peer: &'a mut Peer,
    answer: &'a mut Answer,
    /// Until the answer is complete: it is counted before the client can have seen its end.
    visit: Option<Visit>,
    idle: Duration,
    trailers: bool,
    chunks: Chunks,
    /// Written of what is `out`.
    written: usize,
    /// What was read and goes out as it is.
    raw: usize,
    /// There is no more to come from the upstream.
    done: bool,
    /// The client did not take something at once.
    waited: bool,
    /// When something moved.
    moved: &'a mut Instant,
}

/// Passes on an answer whose head is in its pipe's `out`, whole, and came at `moved`, which is
/// when it was complete afterwards. `trailers`: the client takes them.
pub(crate) async fn relay(
    peer: &mut Peer,
    answer: &mut Answer,
    visit: Visit,
    (idle, moved): (Duration, &mut Instant),
    trailers: bool,
) -> Passed {
    let mut relay = Relay {
        peer,
        answer,
        visit: Some(visit),
        idle,
        trailers,
        chunks: Chunks::default(),
        written: 0,
        raw: 0,
        done: false,
        waited: false,
        moved,
    };
    if relay.take().is_err() {
        relay.broke();
        return Passed::Broken;
    }
    poll_fn(|cx| relay.poll(cx)).await
}

impl Relay<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Passed> {
        loop {
            // Looked at before each piece: a slow client must not outlast the drain.
            if !self.done && self.answer.pipe.is_cut(cx) {
                self.broke();
                return Poll::Ready(Passed::Broken);
            }
            let written = match self.poll_written(cx) {
                Poll::Ready(Ok(())) if self.done => self.peer.poll_flush(cx),
                written => written,
            };
            self.waited |= written.is_pending();
            if ready!(written).is_err() {
                return Poll::Ready(Passed::Gone);
            }
            if self.done {
                if self.waited {
                    *self.moved = Instant::now();
                }
                return Poll::Ready(Passed::Whole);
            }
            match self.answer.pipe.poll_fill(cx) {
                Poll::Ready(Ok(count)) => {
                    *self.moved = Instant::now();
                    if self.read(count).is_err() {
                        self.broke();
                        return Poll::Ready(Passed::Broken);
                    }
                }
                Poll::Ready(Err(_)) => {
                    self.broke();
                    return Poll::Ready(Passed::Broken);
                }
                Poll::Pending => return self.poll_waiting(cx),
            }
        }
    }

    /// Writes what is there to be written.
    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        loop {
            let pipe = &mut self.answer.pipe;
            let out = pipe.out.get(self.written..).unwrap_or_default();
            let raw = pipe.read.unread().get(..self.raw).unwrap_or_default();
            if out.is_empty() && raw.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let count = ready!(self.peer.poll_write(out, raw, cx))?;
            if count == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            let of_out = count.min(out.len());
            let of_raw = count.saturating_sub(of_out);
            self.written = self.written.saturating_add(of_out);
            self.raw = self.raw.saturating_sub(of_raw);
            pipe.read.advance(of_raw);
        }
    }

    /// Nothing to write and nothing to read.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Passed> {
        if self.answer.pipe.is_over(self.moved.checked_add(self.idle), cx) {
            self.broke();
            return Poll::Ready(Passed::Broken);
        }
        // What was written may still have to go out, as the client waits for it.
        let (flushed, gone) = (self.peer.poll_flush(cx), self.peer.poll_gone(cx));
        if gone.is_ready() || matches!(flushed, Poll::Ready(Err(_))) {
            return Poll::Ready(Passed::Gone);
        }
        Poll::Pending
    }

    /// `count` bytes came, 0 at the end of the connection.
    fn read(&mut self, count: usize) -> Result<(), chunks::Malformed> {
        self.answer.pipe.out.clear();
        self.written = 0;
        if count > 0 {
            return self.take();
        }
        if self.answer.head.framing != Framing::Close {
            return Err(chunks::Malformed);
        }
        self.answer.pipe.out.extend_from_slice(b"0\r\n\r\n");
        self.complete();
        Ok(())
    }

    /// Takes what was read of the body and has it written.
    fn take(&mut self) -> Result<(), chunks::Malformed> {
        let pipe = &mut self.answer.pipe;
        let unread = pipe.read.unread().len();
        match &mut self.answer.head.framing {
            Framing::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(unread);
                *left = left.saturating_sub(count as u64);
                if count <= TOGETHER {
                    pipe.out.extend_from_slice(pipe.read.unread().get(..count).unwrap_or_default());
                    pipe.read.advance(count);
                } else {
                    self.raw = count;
                }
                self.done = *left == 0;
                self.sent(count);
            }
            Framing::Close => {
                chunks::write(&mut pipe.out, pipe.read.unread());
                pipe.read.advance(unread);
                self.sent(unread);
            }
            Framing::Chunked => {
                let passed = self.chunks.pass(pipe.read.unread(), self.trailers, &mut pipe.out);
                let (used, data) = passed?;
                pipe.read.advance(used);
                self.sent(data);
                self.done = self.chunks.is_done();
            }
        }
        if self.done {
            self.complete();
        }
        Ok(())
    }

    fn sent(&mut self, bytes: usize) {
        if let Some(visit) = &mut self.visit {
            visit.sent(bytes);
        }
    }

    fn complete(&mut self) {
        self.done = true;
        if let Some(mut visit) = self.visit.take() {
            if self.answer.head.grpc && self.chunks.grpc_failed {
                visit.failed_late(Cause::Grpc);
            }
            visit.complete_at(self.moved.into_std());
        }
    }

    /// The upstream broke off: its fault, unless its drain was over.
    fn broke(&mut self) {
        let Some(mut visit) = self.visit.take() else { return };
        if self.answer.is_cut() {
            visit.cut();
        } else {
            visit.broke();
        }
    }
}
