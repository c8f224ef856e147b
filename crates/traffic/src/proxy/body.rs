//! Bodies on their way, piece by piece, both directions; nothing is held back.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::count::Cause;
use super::forward::Lease;
use super::grpc;
use super::streams::Stream;
use super::visit::Visit;
use super::wire::Line;

/// How an upload is getting on, for those who wait for its answer.
#[derive(Debug)]
pub(crate) struct Progress {
    /// When its last byte was handed on.
    done: Cell<Option<Instant>>,
    /// When it last moved, or the answer did meanwhile.
    moved: Cell<Instant>,
    /// The client has nothing for us right now.
    starved: Cell<bool>,
    /// The client went away in the middle, or sent what is no body.
    broken: Cell<bool>,
    bytes: Cell<u64>,
}

impl Progress {
    fn new() -> Self {
        Self {
            done: Cell::new(None),
            moved: Cell::new(Instant::now()),
            starved: Cell::new(false),
            broken: Cell::new(false),
            bytes: Cell::new(0),
        }
    }

    /// The client did not send the body it had promised.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// The whole body was handed on.
    pub(crate) fn is_done(&self) -> bool {
        self.done.get().is_some()
    }

    /// The answer moved: where both go on at once, neither side is idle while one talks.
    fn answer_moved(&self) {
        self.moved.set(Instant::now());
    }

    /// Bytes handed on so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Until when the first byte of the answer may take: counted from the last byte of the
    /// upload; while it goes on, the upstream must keep taking it, and a slow client is
    /// not held against the upstream.
    pub(crate) fn first_byte_by(&self, first_byte: Duration, idle: Duration) -> Option<Instant> {
        match self.done.get() {
            Some(done) => done.checked_add(first_byte),
            None if self.starved.get() => Instant::now().checked_add(first_byte),
            None => self.moved.get().checked_add(first_byte.max(idle)),
        }
    }
}

/// A request's body on its way to the upstream.
#[derive(Debug)]
pub(crate) struct Upload(Option<Sending>);

#[derive(Debug)]
struct Sending {
    body: Incoming,
    progress: Rc<Progress>,
    /// How long the client may send nothing; `None` where its connection sees to that.
    idle: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Upload {
    /// `body`, and how to watch it; an empty body needs no watching.
    pub(crate) fn new(body: Incoming, idle: Option<Duration>) -> (Self, Option<Rc<Progress>>) {
        if body.is_end_stream() {
            return (Self(None), None);
        }
        let progress = Rc::new(Progress::new());
        let sending = Sending { body, progress: Rc::clone(&progress), idle, timer: None };
        (Self(Some(sending)), Some(progress))
    }

    /// No body.
    pub(crate) const fn empty() -> Self {
        Self(None)
    }

    /// Whether there is nothing to send, so that it may be sent twice.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl Sending {
    /// Whether the client has sent nothing for too long, nor the upstream answered anything.
    fn has_stalled(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(idle) = self.idle else {
            return false;
        };
        is_past(&mut self.timer, || self.progress.moved.get().checked_add(idle), cx)
    }
}

/// Whether the time `by` names has come; else makes sure of being woken by then. `by` may have
/// moved on since it was last asked.
fn is_past(
    timer: &mut Option<Pin<Box<Sleep>>>,
    by: impl Fn() -> Option<Instant>,
    cx: &mut Context<'_>,
) -> bool {
    let Some(limit) = by() else {
        return false;
    };
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(limit)));
    while timer.as_mut().poll(cx).is_ready() {
        if Instant::now() >= limit {
            return true;
        }
        timer.as_mut().reset(limit);
    }
    false
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(sending) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(&mut sending.body).poll_frame(cx);
        sending.progress.starved.set(polled.is_pending());
        let piece = match polled {
            Poll::Ready(piece) => piece.map(|piece| piece.map_err(io::Error::other)),
            Poll::Pending if sending.has_stalled(cx) => {
                Some(Err(io::Error::new(io::ErrorKind::TimedOut, "the client sends nothing")))
            }
            Poll::Pending => return Poll::Pending,
        };
        let progress = &sending.progress;
        match &piece {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                progress.bytes.set(progress.bytes.get().saturating_add(bytes as u64));
            }
            Some(Err(_)) => progress.broken.set(true),
            None => {}
        }
        progress.moved.set(Instant::now());
        if piece.is_none() || sending.body.is_end_stream() {
            progress.done.set(Some(progress.moved.get()));
        }
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|sending| sending.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.0.as_ref().map(|sending| sending.body.size_hint());
        body.unwrap_or_else(|| SizeHint::with_exact(0))
    }
}

/// A response's body on its way to the client.
#[derive(Debug)]
pub(crate) struct Download {
    body: Incoming,
    visit: Visit,
    lease: Option<Lease>,
    idle: Duration,
    /// Its trailers say how the call went.
    grpc: bool,
    moved: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Download {
    /// `body`, counted by `visit`; its connection goes back through `lease`.
    pub(crate) fn new(
        body: Incoming,
        visit: Visit,
        lease: Lease,
        idle: Duration,
        grpc: bool,
    ) -> Self {
        Self { body, visit, lease: Some(lease), idle, grpc, moved: Instant::now(), timer: None }
    }

    /// Whether nothing moved for longer than `idle`, an upload that goes on included.
    fn has_stalled(&mut self, cx: &mut Context<'_>) -> bool {
        let (moved, idle) = (self.moved, self.idle);
        let uploading = self.visit.upload().filter(|upload| !upload.is_done());
        let moved = uploading.map_or(moved, |upload| upload.moved.get().max(moved));
        let stalled = is_past(&mut self.timer, || moved.checked_add(idle), cx);
        // The upstream may be waiting for a client that sends nothing.
        uploading.filter(|upload| stalled && upload.starved.get()).inspect(|upload| {
            upload.broken.set(true);
        });
        stalled
    }

    fn complete(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.visit.complete();
            lease.give_back();
        }
    }

    /// The answer is broken: its connection is not used again.
    fn broke(&mut self) -> io::Error {
        if self.lease.take().is_some_and(|lease| lease.is_cut()) {
            self.visit.cut();
        } else {
            self.visit.broke();
        }
        io::Error::new(io::ErrorKind::BrokenPipe, "the upstream's answer ended early")
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.moved = Instant::now();
                this.visit.upload().inspect(|upload| upload.answer_moved());
                this.visit.sent(frame.data_ref().map_or(0, Bytes::len));
                if this.grpc && frame.trailers_ref().is_some_and(grpc::says_failed) {
                    this.visit.failed_late(Cause::Grpc);
                }
                if this.body.is_end_stream() {
                    this.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(this.broke()))),
            Poll::Ready(None) => {
                this.complete();
                Poll::Ready(None)
            }
            Poll::Pending if this.has_stalled(cx) => Poll::Ready(Some(Err(this.broke()))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Download {
    /// An answer without a body is never polled.
    fn drop(&mut self) {
        if self.body.is_end_stream() {
            self.complete();
        }
    }
}

/// What a client gets as the body of an answer.
#[derive(Debug)]
pub(crate) struct Reply {
    kind: Kind,
    line: Arc<Line>,
    /// The stream it goes out on, in HTTP/2.
    stream: Option<Stream>,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are streams; a box would cost each one")]
enum Kind {
    /// The proxy's own words.
    Text(Option<Bytes>),
    /// The upstream's.
    Stream(Download),
}

impl Reply {
    /// A short text of the proxy's own.
    pub(crate) fn text(text: &'static str, line: Arc<Line>) -> Self {
        let text = (!text.is_empty()).then(|| Bytes::from_static(text.as_bytes()));
        Self { kind: Kind::Text(text), line, stream: None }
    }

    /// What the upstream answers.
    pub(crate) const fn stream(download: Download, line: Arc<Line>) -> Self {
        Self { kind: Kind::Stream(download), line, stream: None }
    }

    /// The same, on a stream of HTTP/2.
    pub(crate) fn on(self, stream: Stream) -> Self {
        let mut reply = self;
        reply.stream = Some(stream);
        reply
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.stream.as_ref().inspect(|stream| stream.asked());
        let polled = match &mut self.kind {
            Kind::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Kind::Stream(download) => Pin::new(download).poll_frame(cx),
        };
        if polled.is_ready() {
            self.stream.as_ref().inspect(|stream| stream.handed());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Text(text) => text.is_none(),
            Kind::Stream(download) => download.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Text(text) => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
            Kind::Stream(download) => download.size_hint(),
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.line.answered();
    }
}
