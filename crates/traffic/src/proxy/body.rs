//! Bodies on their way, piece by piece, both directions; nothing is held back.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::forward::Lease;
use super::visit::Visit;
use super::wire::Line;

/// How an upload is getting on, for those who wait for its answer.
#[derive(Debug)]
pub(crate) struct Progress {
    /// When its last byte was handed on.
    done: Cell<Option<Instant>>,
    /// When it last moved.
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
pub(crate) struct Upload(Option<(Incoming, Rc<Progress>)>);

impl Upload {
    /// `body`, and how to watch it; an empty body needs no watching.
    pub(crate) fn new(body: Incoming) -> (Self, Option<Rc<Progress>>) {
        if body.is_end_stream() {
            return (Self(None), None);
        }
        let progress = Rc::new(Progress::new());
        (Self(Some((body, Rc::clone(&progress)))), Some(progress))
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

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let Some((body, progress)) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(&mut *body).poll_frame(cx);
        progress.starved.set(polled.is_pending());
        let piece = ready!(polled);
        progress.moved.set(Instant::now());
        match &piece {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                progress.bytes.set(progress.bytes.get().saturating_add(bytes as u64));
            }
            Some(Err(_)) => progress.broken.set(true),
            None => {}
        }
        if piece.is_none() || body.is_end_stream() {
            progress.done.set(Some(progress.moved.get()));
        }
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |(body, _)| body.size_hint())
    }
}

/// A response's body on its way to the client.
#[derive(Debug)]
pub(crate) struct Download {
    body: Incoming,
    visit: Visit,
    lease: Option<Lease>,
    idle: Duration,
    moved: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Download {
    /// `body`, counted by `visit`; its connection goes back through `lease`.
    pub(crate) fn new(body: Incoming, visit: Visit, lease: Lease, idle: Duration) -> Self {
        Self { body, visit, lease: Some(lease), idle, moved: Instant::now(), timer: None }
    }

    /// Whether the upstream stalled for longer than `idle`.
    fn has_stalled(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(by) = self.moved.checked_add(self.idle) else {
            return false;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(by)));
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= by {
                return true;
            }
            timer.as_mut().reset(by);
        }
        false
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
                this.visit.sent(frame.data_ref().map_or(0, Bytes::len));
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
}

#[derive(Debug)]
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
        Self { kind: Kind::Text(text), line }
    }

    /// What the upstream answers.
    pub(crate) const fn stream(download: Download, line: Arc<Line>) -> Self {
        Self { kind: Kind::Stream(download), line }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut self.kind {
            Kind::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Kind::Stream(download) => Pin::new(download).poll_frame(cx),
        }
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
