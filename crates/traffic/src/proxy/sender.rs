//! A connection's end that takes requests: one at a time over HTTP/1.1, many over HTTP/2.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::Arc;

use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use rollout::route::Protocol;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::listen::Worker;
use super::pool::{Connection, Pools};
use super::settings::{HEAD_BYTES, HEADERS, PING_EVERY, PING_WITHIN, STREAM_BUFFER_BYTES};
use super::upload::Upload;
use super::upstream::Upstream;

/// Streams that one connection to an upstream carries at most; the one after them has another
/// connection made. Fewer than any server in wide use allows.
const STREAMS: usize = 100;

/// See the module.
#[derive(Debug)]
pub(crate) enum Sender {
    Http1(http1::SendRequest<Upload>),
    Http2(Stream),
}

/// Room for one stream on a connection.
#[derive(Debug)]
pub(crate) struct Stream {
    sender: http2::SendRequest<Upload>,
    taken: Rc<Taken>,
    authority: Arc<str>,
}

/// The streams of a connection that are taken.
#[derive(Debug)]
struct Taken {
    count: Cell<usize>,
    /// When one last ended.
    since: Cell<Instant>,
    /// Something asked over it was not answered in time, and nothing was since: it may be dead.
    silent: Cell<bool>,
}

impl Connection for Sender {
    fn pools(worker: &Worker) -> &Pools<Self> {
        &worker.pools
    }

    /// It drives itself from then on.
    async fn greet(worker: &Rc<Worker>, upstream: &Upstream, stream: TcpStream) -> Option<Self> {
        let greeted = Self::over(worker, upstream, stream).await;
        greeted.inspect_err(|error| tracing::debug!(%error, "upstream not greeted")).ok()
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(stream) => stream.sender.is_closed(),
        }
    }

    fn is_ready(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_ready(),
            Self::Http2(stream) => stream.sender.is_ready(),
        }
    }

    async fn ready(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_ok(),
            Self::Http2(stream) => stream.sender.ready().await.is_ok(),
        }
    }

    fn is_shared(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    fn another(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(stream) => stream.another().map(Self::Http2),
        }
    }

    fn idle_since(&self) -> Option<Instant> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(stream) => stream.idle_since(),
        }
    }
}

impl Sender {
    async fn over(
        worker: &Rc<Worker>,
        upstream: &Upstream,
        stream: TcpStream,
    ) -> hyper::Result<Self> {
        let io = TokioIo::new(stream);
        match upstream.protocol {
            Protocol::Http1 => {
                let (sender, connection) =
                    http1::Builder::new().max_headers(HEADERS).handshake(io).await?;
                drive(worker, upstream, connection.with_upgrades());
                Ok(Self::Http1(sender))
            }
            Protocol::H2c => {
                let tasks = Tasks::default();
                let (sender, connection) = http2::Builder::new(tasks.clone())
                    .timer(TokioTimer::new())
                    .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
                    .max_send_buf_size(STREAM_BUFFER_BYTES)
                    .keep_alive_interval(PING_EVERY)
                    .keep_alive_timeout(PING_WITHIN)
                    .handshake(io)
                    .await?;
                tasks.0.get().inspect(|task| worker.pools.live(upstream, (*task).clone()));
                drive(worker, upstream, connection);
                let taken = Taken {
                    count: Cell::new(1),
                    since: Cell::new(Instant::now()),
                    silent: Cell::new(false),
                };
                let authority = Arc::clone(&upstream.address);
                Ok(Self::Http2(Stream { sender, taken: Rc::new(taken), authority }))
            }
        }
    }

    /// An answer came over it.
    pub(crate) fn speaks(&self) {
        if let Self::Http2(stream) = self {
            stream.taken.silent.set(false);
        }
    }

    /// What to tell when an answer over it is given up: one that others share takes no more
    /// requests until something comes over it.
    pub(crate) fn silence(&self) -> Option<Silence> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(stream) => Some(Silence(Rc::clone(&stream.taken))),
        }
    }

    /// Sends a request; where it was not sent at all, the error brings it back.
    pub(crate) async fn try_send_request(
        &mut self,
        request: Request<Upload>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Upload>>> {
        match self {
            Self::Http1(sender) => sender.try_send_request(request).await,
            Self::Http2(stream) => {
                let request = over_http2(request, &stream.authority);
                stream.sender.try_send_request(request).await
            }
        }
    }
}

impl Stream {
    /// Room for another stream on the same connection.
    fn another(&self) -> Option<Self> {
        let count = self.taken.count.get();
        (count < STREAMS && !self.taken.silent.get()).then(|| {
            self.taken.count.set(count.saturating_add(1));
            let (sender, taken) = (self.sender.clone(), Rc::clone(&self.taken));
            Self { sender, taken, authority: Arc::clone(&self.authority) }
        })
    }

    /// Since when nobody but the one who asks has had a stream; `None` while others have.
    fn idle_since(&self) -> Option<Instant> {
        (self.taken.count.get() <= 1).then(|| self.taken.since.get())
    }
}

/// See [`Sender::silence`].
#[derive(Debug)]
pub(crate) struct Silence(Rc<Taken>);

impl Silence {
    /// No answer came in time.
    pub(crate) fn fell(&self) {
        self.0.silent.set(true);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.taken.count.set(self.taken.count.get().saturating_sub(1));
        self.taken.since.set(Instant::now());
    }
}

/// Where hyper's tasks of one HTTP/2 connection run. The first is the one that reads and writes
/// it; the others end with it.
#[derive(Clone, Debug, Default)]
struct Tasks(Rc<OnceCell<AbortHandle>>);

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, future: F) {
        let task = tokio::task::spawn_local(future);
        self.0.get_or_init(|| task.abort_handle());
    }
}

fn drive<E: std::fmt::Display>(
    worker: &Rc<Worker>,
    upstream: &Upstream,
    connection: impl Future<Output = Result<(), E>> + 'static,
) {
    let task = tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "upstream connection ended");
        }
    });
    worker.pools.live(upstream, task.abort_handle());
}

/// The request as HTTP/2 has it: the host as the authority of its target.
fn over_http2(request: Request<Upload>, upstream: &str) -> Request<Upload> {
    let (mut head, body) = request.into_parts();
    let host = head.headers.remove(HOST);
    let named = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let authority = named.or_else(|| Authority::try_from(upstream).ok());
    if head.uri.authority().is_none()
        && let Some(authority) = authority
    {
        let path = head.uri.path_and_query().cloned();
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(authority);
        parts.path_and_query = Some(path.unwrap_or(PathAndQuery::from_static("/")));
        head.uri = Uri::from_parts(parts).unwrap_or(head.uri);
    }
    head.version = Version::HTTP_2;
    Request::from_parts(head, body)
}
