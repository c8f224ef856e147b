//! A client's connection as hyper sees it: strict, with limits in time.
//!
//! Every byte read passes [`HeadReader`] first. Where it refuses, the rest is replaced by one
//! NUL byte, which no parser takes: hyper answers 400 by itself, in order, and closes.
//!
//! Time limits: `head` from the first byte of a head to its end (and from accept to the
//! first byte), `idle` between pieces of a body either way and for a kept-alive connection
//! that does nothing. One timer a connection, moved only when it fires.
//!
//! A client that shuts its sending half while it waits for an answer has not gone away: the
//! end of input is kept from hyper until the answer is out. A reset is passed on at once.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::head::HeadReader;
use super::stream::Stream;

/// What no HTTP parser accepts anywhere in a head.
const POISON: &[u8] = b"\0";
/// Bytes read and thrown away after a refusal, so that the answer is not lost to a reset.
const LINGER_BYTES: usize = 256 * 1024;
/// How long that may take.
const LINGER: Duration = Duration::from_secs(1);

/// What the connection and the requests on it tell each other.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Answers given to their end; compared with the heads read. Wraps.
    answered: AtomicU32,
    /// A head asked for an upgrade, so what follows it was not read strictly.
    opaque: AtomicBool,
    /// The next answer is the last one.
    leaving: AtomicBool,
    /// The drain is over: what ends now is our doing.
    cut: AtomicBool,
    /// By when the answer under way has to be out.
    by: Mutex<Option<Instant>>,
}

impl Line {
    /// One request has its whole answer.
    pub(crate) fn answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// The answer that begins now has to be out by then; with `None` it is.
    pub(crate) fn ends(&self, by: Option<Instant>) {
        *self.by.lock().unwrap_or_else(PoisonError::into_inner) = by;
    }

    fn by(&self) -> Option<Instant> {
        *self.by.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its drain is over; said before the connection is dropped.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    /// Whether its drain is over.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    /// Answers that begin from now on say that the connection ends with them.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether the next answer is the last one.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// The connection cannot carry another HTTP request.
    pub(crate) fn is_opaque(&self) -> bool {
        self.opaque.load(Ordering::Relaxed)
    }
}

/// What may still come from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    /// More bytes.
    Open,
    /// Nothing: it closed its sending half.
    Ended,
    /// Nothing that is read: what it sent was refused.
    Refused,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    reader: HeadReader,
    line: Arc<Line>,
    head_within: Duration,
    idle_within: Duration,
    input: Input,
    write_blocked: bool,
    /// Bytes that had left when writing last had to wait.
    gone: u64,
    /// Whom to tell when the end of input need not be hidden any more.
    hiding: Option<Waker>,
    lingering: Option<usize>,
    head_by: Option<Instant>,
    read_by: Option<Instant>,
    write_by: Option<Instant>,
    /// By when the answer has to be out that waits to be written.
    out_by: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    /// `stream`, with the limits in force when it was accepted.
    pub(crate) fn new(stream: Stream, line: Arc<Line>, head: Duration, idle: Duration) -> Self {
        Self {
            stream,
            reader: HeadReader::new(),
            line,
            head_within: head,
            idle_within: idle,
            input: Input::Open,
            write_blocked: false,
            gone: 0,
            hiding: None,
            lingering: None,
            head_by: None,
            read_by: None,
            write_by: None,
            out_by: None,
            timer: None,
        }
    }

    /// The same, for heads of at most so many bytes.
    pub(crate) fn with_head_of(mut self, bytes: usize) -> Self {
        self.reader = self.reader.with_line_of(bytes);
        self
    }

    /// A request was read whole and its answer is not out.
    fn is_answering(&self) -> bool {
        self.reader.heads() != self.line.answered.load(Ordering::Relaxed)
    }

    /// An answer is on its way out. Nobody reads on meanwhile, so a head that has begun is not
    /// held to its limit until the answer before it is out.
    fn is_busy(&self) -> bool {
        self.is_answering() || self.write_blocked
    }

    /// Notes that reading has to wait, and for how long it may. Upgraded connections may be
    /// silent for as long as they like.
    fn wait_to_read(&mut self) {
        if self.reader.is_opaque() {
            return;
        }
        let now = Instant::now();
        if self.reader.within_head() || self.reader.heads() == 0 {
            if !self.is_busy() {
                self.head_by.get_or_insert_with(|| later(now, self.head_within));
            }
        } else if self.reader.within_body() || !self.is_answering() {
            self.read_by.get_or_insert_with(|| later(now, self.idle_within));
        }
    }

    /// Has the limits on what comes next run from the end of an answer. A read that has been
    /// waiting since before it is not asked for again, so nobody else would.
    fn wait_for_next(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.input != Input::Open || self.is_busy() || self.reader.heads() == 0 {
            return Ok(());
        }
        let limit = if self.reader.within_head() { self.head_by } else { self.read_by };
        if limit.is_none() && !self.reader.within_body() {
            self.wait_to_read();
            self.check_time(cx)?;
        }
        Ok(())
    }

    /// Fails when the earliest limit has passed; else makes sure of being woken by then.
    fn check_time(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let limits = [self.head_by, self.read_by, self.write_by, self.out_by];
        let Some(by) = limits.into_iter().flatten().min() else {
            return Ok(());
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(by)));
        if timer.deadline() > by {
            timer.as_mut().reset(by);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= by {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the client was too slow"));
            }
            timer.as_mut().reset(by);
        }
        Ok(())
    }

    /// What was just read, checked; a refused rest is replaced.
    fn admit(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        self.read_by = None;
        if buf.filled().len() == before {
            self.input = Input::Ended;
            return;
        }
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if let Err(refused) = self.reader.read(fresh) {
            self.input = Input::Refused;
            buf.set_filled(before.saturating_add(refused.at));
            buf.put_slice(POISON);
        }
        if self.reader.is_opaque() {
            self.line.opaque.store(true, Ordering::Relaxed);
        }
        if !self.reader.within_head() {
            self.head_by = None;
        } else if self.head_by.is_none() && !self.is_busy() {
            self.head_by = Some(later(Instant::now(), self.head_within));
        }
    }

    /// Whether the end of input has to wait: an answer is on its way out.
    fn hides_end(&self) -> bool {
        !self.reader.within_body() && self.is_busy()
    }

    /// Has the end of input read when it need not be hidden any more.
    fn show_end(&mut self) {
        if self.hiding.is_some() && !self.hides_end() {
            self.hiding.take().inspect(Waker::wake_by_ref);
        }
    }

    fn wrote(
        &mut self,
        cx: &mut Context<'_>,
        written: &Poll<io::Result<usize>>,
        asked: usize,
    ) -> io::Result<()> {
        match written {
            Poll::Ready(Ok(count)) => {
                (self.write_by, self.out_by) = (None, None);
                self.write_blocked = *count < asked;
                self.show_end();
                Ok(())
            }
            Poll::Ready(Err(_)) => Ok(()),
            Poll::Pending => self.wait_to_write(cx),
        }
    }

    /// Notes that writing has to wait, and for how long it may: until the client has taken nothing
    /// for the idle limit. Inside TLS it can take some of what is buffered while more has to wait.
    fn wait_to_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.write_blocked = true;
        let gone = self.stream.gone();
        if std::mem::replace(&mut self.gone, gone) != gone {
            self.write_by = None;
        }
        let by = later(Instant::now(), self.idle_within);
        self.write_by.get_or_insert(by);
        self.out_by = if self.is_answering() { self.line.by() } else { None };
        self.check_time(cx)
    }

    /// Reads what a refused client still sends, for a while.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scrap = [0; 4096];
        loop {
            if self.check_time(cx).is_err() {
                return Poll::Ready(());
            }
            let mut buf = ReadBuf::new(&mut scrap);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf));
            let left = self.lingering.unwrap_or_default().saturating_sub(buf.filled().len());
            self.lingering = Some(left);
            if read.is_err() || buf.filled().is_empty() || left == 0 {
                return Poll::Ready(());
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.input == Input::Refused {
            return Poll::Ready(Ok(()));
        }
        if this.input == Input::Open {
            let before = buf.filled().len();
            match Pin::new(&mut this.stream).poll_read(cx, buf) {
                Poll::Ready(Ok(())) => this.admit(buf, before),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    this.wait_to_read();
                    this.check_time(cx)?;
                    return Poll::Pending;
                }
            }
        }
        if this.input == Input::Ended && this.hides_end() {
            this.hiding = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(cx, &written, bytes.len())?;
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let asked = slices.iter().map(|slice| slice.len()).sum();
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(cx, &written, asked)?;
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if Pin::new(&mut self.stream).poll_flush(cx)?.is_pending() {
            self.wait_to_write(cx)?;
            return Poll::Pending;
        }
        (self.write_by, self.out_by, self.write_blocked) = (None, None, false);
        self.show_end();
        self.wait_for_next(cx)?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            if Pin::new(&mut self.stream).poll_shutdown(cx)?.is_pending() {
                self.wait_to_write(cx)?;
                return Poll::Pending;
            }
            if self.input != Input::Refused && !self.reader.within_body() {
                return Poll::Ready(Ok(()));
            }
            self.lingering = Some(LINGER_BYTES);
            (self.head_by, self.write_by, self.out_by) = (None, None, None);
            self.read_by = Some(later(Instant::now(), LINGER));
        }
        self.linger(cx).map(Ok)
    }
}

/// `now + length`, or a year from now where that is beyond the clock.
fn later(now: Instant, length: Duration) -> Instant {
    const YEAR: Duration = Duration::from_hours(365 * 24);
    now.checked_add(length.min(YEAR)).unwrap_or(now)
}

#[cfg(test)]
mod tests;
