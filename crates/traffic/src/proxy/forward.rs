//! Moves one request to one upstream: head in, body streamed, outcome out.
//!
//! [`Forwarder`] is the seam between what is decided and what moves the bytes. [`OverHyper`]
//! is the one there is; a leaner path for plain HTTP/1.1 can stand beside it.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::body::{Progress, Upload};
use super::count::Cause;
use super::listen::{Worker, tune};
use super::route::Times;
use super::settings::HEADERS;
use super::upstream::{Sender, Upstream};

/// An upstream's answer, and the way back for its connection.
#[derive(Debug)]
pub(crate) struct Answer {
    pub response: Response<Incoming>,
    pub lease: Lease,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The upstream's fault.
    Upstream(Cause, http::StatusCode),
    /// The client did not send the body it had promised.
    Client,
    /// The upstream left, and its drain is over.
    Cut,
}

/// Moves requests.
pub(crate) trait Forwarder {
    /// Sends `request` and waits for the head of the answer.
    async fn forward(
        &self,
        upstream: &Arc<Upstream>,
        request: Request<Upload>,
        upload: Option<&Progress>,
        time: &Times,
    ) -> Result<Answer, Failure>;
}

/// HTTP/1.1 through hyper, over this thread's kept connections.
#[derive(Debug)]
pub(crate) struct OverHyper<'a>(pub &'a Rc<Worker>);

/// A connection lent out for one request.
#[derive(Debug)]
pub(crate) struct Lease {
    worker: Rc<Worker>,
    upstream: Arc<Upstream>,
    sender: Sender,
    idle: Duration,
}

impl Lease {
    /// The answer is complete: the connection may carry another request.
    pub(crate) fn give_back(self) {
        self.worker.pools.give(&self.upstream, self.sender, self.idle);
    }

    /// Whether what goes wrong now is the end of the upstream's drain.
    pub(crate) fn is_cut(&self) -> bool {
        self.upstream.is_cut()
    }

    /// The upstream the connection leads to.
    pub(crate) const fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }
}

/// How an attempt on a kept connection went wrong.
enum Lost {
    /// The connection was stale; the request is as it was.
    Unsent(Box<Request<Upload>>),
    /// The connection ended before an answer.
    Ended,
    /// Not for a second attempt.
    Failed(Failure),
}

impl Forwarder for OverHyper<'_> {
    async fn forward(
        &self,
        upstream: &Arc<Upstream>,
        request: Request<Upload>,
        upload: Option<&Progress>,
        time: &Times,
    ) -> Result<Answer, Failure> {
        let mut request = request;
        if let Some(sender) = self.0.pools.take(upstream) {
            let spare = is_repeatable(&request).then(|| head_of(&request));
            match self.ask(upstream, sender, request, upload, time).await {
                Ok(answer) => return Ok(answer),
                Err(Lost::Failed(failure)) => return Err(failure),
                Err(Lost::Unsent(unsent)) => request = *unsent,
                Err(Lost::Ended) => request = spare.ok_or(RESET)?,
            }
        }
        let sender = self.connect(upstream, time).await?;
        self.ask(upstream, sender, request, upload, time).await.map_err(|lost| match lost {
            Lost::Failed(failure) => failure,
            Lost::Unsent(_) | Lost::Ended => RESET,
        })
    }
}

const RESET: Failure = Failure::Upstream(Cause::Reset, http::StatusCode::BAD_GATEWAY);
const LATE: Failure = Failure::Upstream(Cause::Timeout, http::StatusCode::GATEWAY_TIMEOUT);

impl OverHyper<'_> {
    async fn connect(&self, upstream: &Arc<Upstream>, time: &Times) -> Result<Sender, Failure> {
        if upstream.is_cut() {
            return Err(Failure::Cut);
        }
        let failed = |status| Failure::Upstream(Cause::Connect, status);
        let stream = timeout(time.connect, TcpStream::connect(&*upstream.address))
            .await
            .map_err(|_| failed(http::StatusCode::GATEWAY_TIMEOUT))?
            .map_err(|_| failed(http::StatusCode::BAD_GATEWAY))?;
        tune(&stream);
        let (sender, connection) = http1::Builder::new()
            .max_headers(HEADERS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_| failed(http::StatusCode::BAD_GATEWAY))?;
        let task = tokio::task::spawn_local(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "upstream connection ended");
            }
        });
        self.0.pools.live(upstream, task.abort_handle());
        Ok(sender)
    }

    async fn ask(
        &self,
        upstream: &Arc<Upstream>,
        mut sender: Sender,
        request: Request<Upload>,
        upload: Option<&Progress>,
        time: &Times,
    ) -> Result<Answer, Lost> {
        let asked = sender.try_send_request(request);
        let answer = within(asked, upload, time).await.ok_or(Lost::Failed(LATE))?;
        let response =
            answer.map_err(|mut error| lost(error.take_message(), error.error(), upload))?;
        let (worker, upstream) = (Rc::clone(self.0), Arc::clone(upstream));
        Ok(Answer { response, lease: Lease { worker, upstream, sender, idle: time.idle } })
    }
}

/// What an error of hyper's means.
fn lost(unsent: Option<Request<Upload>>, error: &hyper::Error, upload: Option<&Progress>) -> Lost {
    match unsent {
        _ if upload.is_some_and(Progress::is_broken) => Lost::Failed(Failure::Client),
        Some(unsent) => Lost::Unsent(Box::new(unsent)),
        None if error.is_parse() => Lost::Failed(RESET),
        None => Lost::Ended,
    }
}

/// The answer, or `None` when its first byte is late.
async fn within<T>(
    answer: impl Future<Output = T>,
    upload: Option<&Progress>,
    time: &Times,
) -> Option<T> {
    let mut answer = std::pin::pin!(answer);
    let mut by = Instant::now().checked_add(time.first_byte);
    loop {
        let Some(limit) = by else {
            return Some(answer.await);
        };
        tokio::select! {
            biased;
            answer = &mut answer => return Some(answer),
            () = sleep_until(limit) => {}
        }
        by = upload.and_then(|upload| upload.first_byte_by(time.first_byte, time.idle));
        if by.is_none_or(|by| by <= Instant::now()) {
            return None;
        }
    }
}

/// Whether a request may be sent a second time after the first may have arrived.
fn is_repeatable(request: &Request<Upload>) -> bool {
    let safe =
        [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE, Method::TRACE];
    request.body().is_empty() && safe.contains(request.method())
}

/// The same head without a body. Extensions stay behind: nothing of ours is in them.
fn head_of(request: &Request<Upload>) -> Request<Upload> {
    let mut copy = Request::new(Upload::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// Whether an error says that too many files are open or the like, which passes.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
