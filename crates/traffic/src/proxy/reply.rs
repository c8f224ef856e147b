//! What a client gets as the body of an answer: the upstream's, or a few words of the proxy's own.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::body::Download;
use super::piece::Piece;
use super::streams::Stream;
use super::wire::Line;

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
    pub(crate) fn stream(download: Download, line: Arc<Line>) -> Self {
        if let by @ Some(_) = download.by() {
            line.ends(by);
        }
        Self { kind: Kind::Stream(download), line, stream: None, end: None }
    }

    /// The same, on a stream of HTTP/2.
    pub(crate) fn on(self, stream: Stream) -> Self {
        let mut reply = self;
        if let Kind::Stream(download) = &reply.kind {
            stream.ends(download.by());
        }
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
        if matches!(&self.kind, Kind::Stream(download) if download.by().is_some()) {
            self.line.ends(None);
        }
        self.line.answered();
        if self.is_end_stream() {
            self.stream.as_ref().inspect(|stream| stream.done());
        }
    }
}
