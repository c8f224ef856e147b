//! A connection to an upstream that the request on it drives.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::super::forward::{Failure, LATE, RESET};
use super::super::listen::Worker;
use super::super::pool::{Connection, Pools};
use super::super::settings::BUFFER_BYTES;
use super::super::upstream::Upstream;
use super::answer::{self, Head, Read};
use super::buffer::Buffer;
use super::cut::Cut;
use super::patience::Patience;
use super::request::Outgoing;

/// Bytes read at once to begin with: an ordinary answer.
const PIECE: usize = 8 * 1024;
/// What a pooled connection keeps of its buffers.
const KEPT: usize = 64 * 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Pipe {
    tcp: TcpStream,
    /// What came from the upstream and was not used.
    pub read: Buffer,
    /// What of the answer goes to the client in other words.
    pub out: Vec<u8>,
    patience: Patience,
    cut: Rc<Cut>,
}

/// Why there is no head of an answer.
#[derive(Debug)]
pub(crate) enum Lost {
    /// No byte of the request went out.
    Unsent,
    /// The connection ended before a byte of an answer.
    Ended,
    /// Not for a second attempt.
    Failed(Failure),
}

impl Pipe {
    fn new(tcp: TcpStream) -> Self {
        Self {
            tcp,
            read: Buffer::default(),
            out: Vec::new(),
            patience: Patience::default(),
            cut: Rc::default(),
        }
    }

    /// Sends a request and waits for the head of its answer, which is in `out` then as the
    /// client is to read it, but for its last line. Its first byte is late after `by`.
    pub(crate) async fn ask(
        &mut self,
        request: &Outgoing,
        by: Option<Instant>,
    ) -> Result<Head, Lost> {
        let mut sent = 0;
        poll_fn(|cx| {
            let got = match self.poll_send(request.bytes(), &mut sent, cx) {
                Poll::Ready(Ok(())) => self.poll_head(request, cx),
                Poll::Ready(Err(lost)) => Poll::Ready(Err(lost)),
                Poll::Pending => Poll::Pending,
            };
            if got.is_pending() {
                if self.cut.is_over(cx) {
                    return Poll::Ready(Err(Lost::Failed(Failure::Cut)));
                }
                if self.patience.is_over(by, cx) {
                    return Poll::Ready(Err(Lost::Failed(LATE)));
                }
            }
            got
        })
        .await
    }

    fn poll_send(
        &mut self,
        bytes: &[u8],
        sent: &mut usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Lost>> {
        while let Some(rest) = bytes.get(*sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.tcp).poll_write(cx, rest)) {
                Ok(count) if count > 0 => *sent = sent.saturating_add(count),
                _ if *sent == 0 => return Poll::Ready(Err(Lost::Unsent)),
                _ => return Poll::Ready(Err(Lost::Ended)),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_head(&mut self, request: &Outgoing, cx: &mut Context<'_>) -> Poll<Result<Head, Lost>> {
        loop {
            let fresh = self.read.unread().is_empty();
            match ready!(self.poll_fill(cx)) {
                Ok(count) if count > 0 => {}
                _ if fresh => return Poll::Ready(Err(Lost::Ended)),
                _ => return Poll::Ready(Err(Lost::Failed(RESET))),
            }
            match self.take_head(request) {
                Read::Whole(head) => return Poll::Ready(Ok(head)),
                Read::Malformed => return Poll::Ready(Err(Lost::Failed(RESET))),
                Read::Partial => {}
            }
        }
    }

    /// The head at the beginning of what was read; those before the last (1xx) are passed over.
    fn take_head(&mut self, request: &Outgoing) -> Read {
        loop {
            self.out.clear();
            let (used, read) = answer::read(self.read.unread(), request.is_head(), &mut self.out);
            self.read.advance(used);
            match read {
                Read::Partial if used > 0 => {}
                Read::Partial if self.read.is_full(BUFFER_BYTES) => return Read::Malformed,
                other => return other,
            }
        }
    }

    /// Reads more.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.read.poll_fill(&mut self.tcp, PIECE, BUFFER_BYTES, cx)
    }

    /// Whether it is cut; else whoever asks is woken when it is.
    pub(crate) fn is_cut(&self, cx: &Context<'_>) -> bool {
        self.cut.is_over(cx)
    }

    /// Whether waiting has an end: by a cut, or because `by` has come.
    pub(crate) fn is_over(&mut self, by: Option<Instant>, cx: &mut Context<'_>) -> bool {
        self.cut.is_over(cx) || self.patience.is_over(by, cx)
    }

    /// The answer was passed on whole: whether another request may follow.
    pub(crate) fn ends_clean(&mut self) -> bool {
        self.read.shrink(KEPT);
        self.out.clear();
        self.out.shrink_to(KEPT);
        self.read.unread().is_empty()
    }
}

impl Connection for Pipe {
    fn pools(worker: &Worker) -> &Pools<Self> {
        &worker.lean
    }

    async fn greet(worker: &Rc<Worker>, upstream: &Upstream, tcp: TcpStream) -> Option<Self> {
        let pipe = Self::new(tcp);
        worker.lean.live_until(upstream, &pipe.cut);
        Some(pipe)
    }

    /// Idle, it has nothing to read: the end of input, or bytes nobody asked for, mean its end.
    fn is_closed(&self) -> bool {
        let unread = self.tcp.try_read(&mut [0]);
        !unread.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    fn is_ready(&self) -> bool {
        true
    }

    async fn ready(&mut self) -> bool {
        !self.is_closed()
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn another(&self) -> Option<Self> {
        None
    }

    fn idle_since(&self) -> Option<Instant> {
        None
    }
}
