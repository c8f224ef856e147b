//! Requests' bodies on their way, piece by piece, and kept as they pass by where a request may
//! have to be sent again.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::body::is_past;
use super::fields;

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
    /// It was larger than allowed, which is a way to break.
    too_large: Cell<bool>,
    bytes: Cell<u64>,
}

impl Progress {
    fn new() -> Self {
        Self {
            done: Cell::new(None),
            moved: Cell::new(Instant::now()),
            starved: Cell::new(false),
            broken: Cell::new(false),
            too_large: Cell::new(false),
            bytes: Cell::new(0),
        }
    }

    /// The client did not send the body it had promised.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// The client sent more than it may.
    pub(crate) fn is_too_large(&self) -> bool {
        self.too_large.get()
    }

    /// The client broke it off.
    pub(crate) fn fail(&self) {
        self.broken.set(true);
    }

    /// When it last moved, or the answer did meanwhile.
    pub(crate) fn moved(&self) -> Instant {
        self.moved.get()
    }

    /// The client has nothing for us right now.
    pub(crate) fn is_starved(&self) -> bool {
        self.starved.get()
    }

    /// The whole body was handed on.
    pub(crate) fn is_done(&self) -> bool {
        self.done.get().is_some()
    }

    /// When its last byte was handed on.
    pub(crate) const fn done(&self) -> Option<Instant> {
        self.done.get()
    }

    /// The answer moved: where both go on at once, neither side is idle while one talks.
    pub(crate) fn answer_moved(&self) {
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

/// One attempt at sending what a client sends.
#[derive(Debug)]
struct Sending {
    source: Rc<Source>,
    progress: Rc<Progress>,
    attempt: u32,
    /// The next piece of the tape.
    at: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

/// What a client sends, for as many attempts as it takes.
#[derive(Debug)]
pub(crate) struct Source {
    body: RefCell<Incoming>,
    /// What was handed on so far; `None` when that is more than is kept.
    tape: RefCell<Option<Tape>>,
    /// The attempt that reads on.
    attempt: Cell<u32>,
    /// Whom to wake of it when another takes its place: what the client sends then wakes that.
    waits: RefCell<Option<Waker>>,
    /// How long the client may send nothing; `None` where its connection sees to that.
    idle: Option<Duration>,
    /// Bytes it may have.
    limit: Option<u64>,
}

#[derive(Debug)]
struct Tape {
    pieces: Vec<Bytes>,
    /// Bytes that may still be kept.
    room: u64,
}

impl Upload {
    /// `body`, of which up to `keep` bytes are kept while they pass by, and which breaks off
    /// beyond `limit`. An empty body needs no watching.
    pub(crate) fn new(
        body: Incoming,
        idle: Option<Duration>,
        keep: Option<u64>,
        limit: Option<u64>,
    ) -> (Self, Option<Rc<Source>>) {
        if body.is_end_stream() {
            return (Self(None), None);
        }
        // A body known to be too long is not kept in part.
        let announced = body.size_hint().lower();
        let keep = keep.filter(|keep| announced <= *keep);
        let source = Rc::new(Source {
            body: RefCell::new(body),
            tape: RefCell::new(keep.map(|room| Tape { pieces: Vec::new(), room })),
            attempt: Cell::new(0),
            waits: RefCell::new(None),
            idle,
            limit,
        });
        (Self(Some(Sending::of(&source))), Some(source))
    }

    /// No body.
    pub(crate) const fn empty() -> Self {
        Self(None)
    }

    /// Whether there is nothing to send, so that it may be sent twice.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How it is getting on; `None` when there is nothing to send.
    pub(crate) fn progress(&self) -> Option<Rc<Progress>> {
        self.0.as_ref().map(|sending| Rc::clone(&sending.progress))
    }
}

impl Source {
    /// Whether everything handed on so far can be sent again.
    pub(crate) fn is_replayable(&self) -> bool {
        self.tape.borrow().is_some()
    }

    /// The same body from its beginning; the attempt before gets no more of it.
    pub(crate) fn again(self: &Rc<Self>) -> Upload {
        self.attempt.set(self.attempt.get().wrapping_add(1));
        self.waits.take().inspect(Waker::wake_by_ref);
        Upload(Some(Sending::of(self)))
    }

    /// The piece `at` of those handed on before.
    fn taped(&self, at: usize) -> Option<Bytes> {
        self.tape.borrow().as_ref()?.pieces.get(at).cloned()
    }

    /// Bytes on the tape from the piece `at` on.
    fn ahead(&self, at: usize) -> u64 {
        let tape = self.tape.borrow();
        let pieces = tape.iter().flat_map(|tape| tape.pieces.iter().skip(at));
        pieces.map(|piece| piece.len() as u64).fold(0, u64::saturating_add)
    }

    /// Keeps what is handed on. Trailers are not kept, so what has them is not sent again.
    fn keep(&self, frame: &Frame<Bytes>) {
        let mut tape = self.tape.borrow_mut();
        let kept = tape.as_mut().zip(frame.data_ref()).and_then(|(tape, piece)| {
            tape.room = tape.room.checked_sub(piece.len() as u64)?;
            tape.pieces.push(piece.clone());
            Some(())
        });
        if kept.is_none() {
            *tape = None;
        }
    }
}

impl Sending {
    fn of(source: &Rc<Source>) -> Self {
        Self {
            source: Rc::clone(source),
            progress: Rc::new(Progress::new()),
            attempt: source.attempt.get(),
            at: 0,
            timer: None,
        }
    }

    /// Whether the client has sent nothing for too long, nor the upstream answered anything.
    fn has_stalled(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(idle) = self.source.idle else {
            return false;
        };
        is_past(&mut self.timer, || self.progress.moved.get().checked_add(idle), cx)
    }

    /// The next piece: from the tape, then from the client.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(piece) = self.source.taped(self.at) {
            self.at = self.at.saturating_add(1);
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if self.attempt != self.source.attempt.get() {
            return Poll::Ready(Some(Err(io::Error::other("sent to another upstream instead"))));
        }
        let polled = Pin::new(&mut *self.source.body.borrow_mut()).poll_frame(cx);
        self.progress.starved.set(polled.is_pending());
        let piece = match polled {
            Poll::Ready(piece) => piece.map(|piece| piece.map_err(io::Error::other)),
            Poll::Pending if self.has_stalled(cx) => {
                Some(Err(io::Error::new(io::ErrorKind::TimedOut, "the client sends nothing")))
            }
            Poll::Pending => {
                if self.source.is_replayable() {
                    self.source.waits.replace(Some(cx.waker().clone()));
                }
                return Poll::Pending;
            }
        };
        match &piece {
            Some(Ok(frame)) => {
                self.source.keep(frame);
                self.at = self.at.saturating_add(1);
            }
            Some(Err(_)) => self.progress.broken.set(true),
            None => {}
        }
        Poll::Ready(piece)
    }

    fn is_over(&self) -> bool {
        self.source.taped(self.at).is_none() && self.source.body.borrow().is_end_stream()
    }
}

/// Makes trailers fit for the other side.
pub(crate) fn clean(frame: &mut Frame<Bytes>) {
    if let Some(trailers) = frame.trailers_mut() {
        fields::clean_trailers(trailers);
    }
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
        let Poll::Ready(mut piece) = sending.poll_piece(cx) else {
            return Poll::Pending;
        };
        if let Some(Ok(frame)) = &mut piece {
            clean(frame);
        }
        let progress = &sending.progress;
        if let Some(Ok(frame)) = &piece {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            progress.bytes.set(progress.bytes.get().saturating_add(bytes as u64));
        }
        if sending.source.limit.is_some_and(|limit| progress.bytes.get() > limit) {
            progress.broken.set(true);
            progress.too_large.set(true);
            piece = Some(Err(io::Error::new(io::ErrorKind::FileTooLarge, "the body is too large")));
        }
        progress.moved.set(Instant::now());
        if piece.is_none() || sending.is_over() {
            progress.done.set(Some(progress.moved.get()));
        }
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Sending::is_over)
    }

    fn size_hint(&self) -> SizeHint {
        let Some(sending) = &self.0 else {
            return SizeHint::with_exact(0);
        };
        let (ahead, rest) =
            (sending.source.ahead(sending.at), sending.source.body.borrow().size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(ahead));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(ahead)) {
            hint.set_upper(upper);
        }
        hint
    }
}
