//! Answers on their way, piece by piece; nothing is held back.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
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
use super::piece::Piece;
use super::streams::Stream;
use super::upload::{Progress, clean};
use super::visit::Visit;
use super::wire::Line;

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
            moved: Instant::now(),
            timer: None,
        }
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
    /// The stream it goes out on, in HTTP/2. Its end waits until the client has taken what comes
    /// before, so that it is watched until then.
    stream: Option<Stream>,
    /// Trailers, which are an end.
    end: Option<Frame<Piece>>,
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
        Self { kind: Kind::Text(text), line, stream: None, end: None }
    }

    /// What the upstream answers.
    pub(crate) const fn stream(download: Download, line: Arc<Line>) -> Self {
        Self { kind: Kind::Stream(download), line, stream: None, end: None }
    }

    /// The same, on a stream of HTTP/2.
    pub(crate) fn on(self, stream: Stream) -> Self {
        let mut reply = self;
        reply.stream = Some(stream);
        reply
    }
}

impl Reply {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Piece>>>> {
        if let Some(end) = self.end.take() {
            return Poll::Ready(Some(Ok(end)));
        }
        let polled = match &mut self.kind {
            Kind::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Kind::Stream(download) => Pin::new(download).poll_frame(cx),
        };
        let stream = self.stream.as_ref();
        polled.map_ok(|frame| frame.map_data(|bytes| Piece::on(stream, bytes)))
    }
}

impl Body for Reply {
    type Data = Piece;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Piece>>>> {
        self.stream.as_ref().inspect(|stream| stream.asked());
        let Poll::Ready(piece) = self.poll_piece(cx) else {
            return Poll::Pending;
        };
        let Some(stream) = &self.stream else {
            return Poll::Ready(piece);
        };
        stream.handed();
        let polled = match piece {
            None if stream.waits(cx) => return Poll::Pending,
            Some(Ok(end)) if end.is_trailers() && stream.waits(cx) => {
                self.end = Some(end);
                return Poll::Pending;
            }
            piece => piece,
        };
        let over = !polled.as_ref().is_some_and(|it| it.as_ref().is_ok_and(Frame::is_data));
        if over {
            stream.done();
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        if self.end.is_some() || self.stream.as_ref().is_some_and(Stream::is_holding) {
            return false;
        }
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
        if self.is_end_stream() {
            self.stream.as_ref().inspect(|stream| stream.done());
        }
    }
}
