//! Answers on their way, piece by piece; nothing is held back.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use rollout::route::Protocol;
use tokio::time::{Instant, Sleep, sleep_until};

use super::count::Cause;
use super::forward::Lease;
use super::grpc;
use super::total::{Total, Watch};
use super::upload::{Progress, clean};
use super::visit::Visit;

/// Whether the time `by` names has come; else makes sure of being woken by then. `by` may have
/// moved on since it was last asked.
pub(crate) fn is_past(
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

/// A response's body on its way to the client.
#[derive(Debug)]
pub(crate) struct Download {
    body: Incoming,
    visit: Visit,
    lease: Option<Lease>,
    idle: Duration,
    /// Its trailers say how the call went.
    grpc: bool,
    /// They are here.
    trailed: bool,
    total: Option<Watch>,
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
        Self {
            body,
            visit,
            lease: Some(lease),
            idle,
            grpc,
            trailed: false,
            total: None,
            moved: Instant::now(),
            timer: None,
        }
    }

    /// The same, to be over by then.
    pub(crate) fn within(mut self, total: Option<Total>) -> Self {
        self.total = total.map(|total| total.watch(self.visit.upload()));
        self
    }

    /// By when it has to be over.
    pub(crate) fn by(&self) -> Option<Instant> {
        self.total.as_ref().map(Watch::by)
    }

    /// The request has taken too long: it is ended, whoever is waited for.
    fn outlasted(&mut self) -> io::Error {
        let clients = |total: &Watch| total.is_the_clients(self.visit.upload());
        if self.total.as_ref().is_some_and(clients) {
            self.lease.take();
            self.visit.outlasted();
            return io::Error::new(io::ErrorKind::TimedOut, "the client was too slow");
        }
        self.broke()
    }

    /// Whether nothing moved for longer than `idle`, an upload that goes on included.
    fn has_stalled(&mut self, cx: &mut Context<'_>) -> bool {
        let (moved, idle) = (self.moved, self.idle);
        let uploading = self.visit.upload().filter(|upload| !upload.is_done());
        let moved = uploading.map_or(moved, |upload| upload.moved().max(moved));
        let stalled = is_past(&mut self.timer, || moved.checked_add(idle), cx);
        // The upstream may be waiting for a client that sends nothing.
        uploading.filter(|upload| stalled && upload.is_starved()).inspect(|upload| upload.fail());
        stalled
    }

    fn complete(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.visit.complete();
            lease.give_back();
        }
    }

    /// Whether a body that ended in HTTP/2 was reset before its end. hyper takes `NO_ERROR` and
    /// `CANCEL` for an end; after one the first asks for no more of the request, so while that is
    /// on its way only a length or trailers tell.
    fn ended_early(&self) -> bool {
        let http2 = |lease: &Lease| lease.upstream().protocol == Protocol::H2c;
        let hint = self.body.size_hint();
        if !self.lease.as_ref().is_some_and(http2) || self.body.is_end_stream() {
            return false;
        }
        let whole = self.trailed || hint.exact() == Some(0);
        let uploaded = self.visit.upload().is_none_or(Progress::is_done);
        !whole && (uploaded || self.grpc || hint.lower() > 0)
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
        if let Some(total) = &mut this.total {
            total.asked();
        }
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                clean(&mut frame);
                this.moved = Instant::now();
                this.visit.upload().inspect(|upload| upload.answer_moved());
                this.visit.sent(frame.data_ref().map_or(0, Bytes::len));
                this.trailed |= frame.is_trailers();
                if this.grpc && frame.trailers_ref().is_some_and(grpc::says_failed) {
                    this.visit.failed_late(Cause::Grpc);
                }
                if let Some(total) = &mut this.total {
                    total.handed();
                }
                if this.body.is_end_stream() {
                    this.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(this.broke()))),
            Poll::Ready(None) if this.ended_early() => Poll::Ready(Some(Err(this.broke()))),
            Poll::Ready(None) => {
                this.complete();
                Poll::Ready(None)
            }
            Poll::Pending if this.has_stalled(cx) => Poll::Ready(Some(Err(this.broke()))),
            Poll::Pending if this.total.as_mut().is_some_and(|total| total.is_over(cx)) => {
                Poll::Ready(Some(Err(this.outlasted())))
            }
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
