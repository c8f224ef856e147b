//! Moves one request to one upstream of a track: head in, body streamed, outcome out.
//!
//! [`OverHyper`] moves whatever HTTP allows; a leaner way for plain HTTP/1.1 can stand beside it,
//! since who answers in whose place ([`Again`]) is decided apart from how bytes move.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until};

use super::balance::Busy;
use super::connect::{link, reach};
use super::count::Cause;
use super::fields::{self, name_host};
use super::listen::Worker;
use super::pool::Linked;
use super::route::{Times, Track};
use super::sender::{Sender, Silence};
use super::shield::Again;
use super::upload::{Progress, Source, Upload};
use super::upstream::Upstream;

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

impl Failure {
    /// Whether the upstream was gone, or went before it answered: another one may be there.
    pub(crate) const fn is_broken_off(self) -> bool {
        matches!(self, Self::Upstream(Cause::Reset | Cause::Connect, _))
    }
}

/// Through hyper, over this thread's kept connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OverHyper<'a>(pub &'a Rc<Worker>);

/// A connection lent out for one request.
#[derive(Debug)]
pub(crate) struct Lease {
    worker: Rc<Worker>,
    upstream: Arc<Upstream>,
    sender: Sender,
    idle: Duration,
    /// Counts it as under way, where there is a choice of upstreams.
    busy: Option<Busy>,
}

impl Lease {
    /// The answer is complete: the connection may carry another request.
    pub(crate) fn give_back(self) {
        let until = Instant::now().checked_add(self.idle);
        self.worker.pools.give(&self.upstream, self.sender, until);
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

/// Who was asked, for when the answer is given up: what drops an attempt is not told otherwise.
#[derive(Debug, Default)]
pub(crate) struct Asked(RefCell<Option<(Arc<Upstream>, Option<Silence>)>>);

impl Asked {
    fn over(&self, upstream: &Arc<Upstream>, sender: &Sender) {
        self.0.replace(Some((Arc::clone(upstream), sender.silence())));
    }

    /// It has answered, or failed to: nobody is waited for.
    fn settle(&self) {
        self.0.take();
    }
}

/// What it takes to send a request again: its head, and its body as far as that is kept.
#[derive(Debug)]
pub(crate) struct Spare<'a> {
    over: OverHyper<'a>,
    head: Request<()>,
    source: Option<Rc<Source>>,
    /// By the attempt before.
    pub asked: Asked,
}

impl<'a> Spare<'a> {
    /// Of `request`, whose body is `source`.
    pub(crate) fn of(
        over: OverHyper<'a>,
        request: &Request<Upload>,
        source: Option<Rc<Source>>,
    ) -> Self {
        Self { over, head: head_of(request), source, asked: Asked::default() }
    }
}

impl Again for Spare<'_> {
    type Answer = Answer;

    fn status(answer: &Answer) -> http::StatusCode {
        answer.response.status()
    }

    fn is_replayable(&self) -> bool {
        self.source.as_ref().is_none_or(|source| source.is_replayable())
    }

    fn again(
        &self,
        track: &Track,
        time: &Times,
    ) -> (impl Future<Output = Result<Answer, Failure>>, Option<Rc<Progress>>) {
        let body = self.source.as_ref().map_or_else(Upload::empty, Source::again);
        let (upload, request) = (body.progress(), self.head.clone().map(|()| body));
        let watched = upload.clone();
        let replay = async move {
            let asked = Asked::default();
            Box::pin(self.over.somewhere(track, request, watched.as_deref(), time, &asked)).await
        };
        (replay, upload)
    }

    fn give_up(&self, track: &Track) {
        if let Some((upstream, silence)) = self.asked.0.take() {
            track.observe(&upstream, false);
            silence.inspect(Silence::fell);
        }
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

impl OverHyper<'_> {
    /// Sends `request` to an upstream of `track` and waits for the head of the answer; to another
    /// one, once, where that breaks off and twice is as good as once.
    pub(crate) async fn somewhere(
        &self,
        track: &Track,
        request: Request<Upload>,
        upload: Option<&Progress>,
        time: &Times,
        asked: &Asked,
    ) -> Result<Answer, Failure> {
        let spare = (track.upstreams.len() > 1 && is_repeatable(&request))
            .then(|| head_of(&request).map(|()| Upload::empty()));
        let mut tried = None;
        match (self.at(track, request, upload, time, (asked, &mut tried)).await, spare) {
            (Err(failure), Some(spare)) if failure.is_broken_off() && tried.is_some() => {
                // Seldom, and large.
                Box::pin(self.at(track, spare, None, time, (asked, &mut tried))).await
            }
            (first, _) => first,
        }
    }

    /// Sends `request` to an upstream of `track` and waits for the head of the answer.
    pub(crate) async fn forward(
        &self,
        track: &Track,
        request: Request<Upload>,
        upload: Option<&Progress>,
        time: &Times,
        asked: &Asked,
    ) -> Result<Answer, Failure> {
        self.at(track, request, upload, time, (asked, &mut None)).await
    }

    /// The same, with an upstream other than `tried`; says which it was.
    async fn at(
        &self,
        track: &Track,
        mut request: Request<Upload>,
        upload: Option<&Progress>,
        time: &Times,
        (asked, tried): (&Asked, &mut Option<u64>),
    ) -> Result<Answer, Failure> {
        let (upstream, linked) = reach(self.0, track, time, *tried).await?;
        *tried = Some(upstream.id);
        name_host(request.headers_mut(), &upstream.address);
        let busy = (track.upstreams.len() > 1).then(|| Busy::on(&upstream));
        asked.over(&upstream, &linked.sender);
        let result = self.exchange(&upstream, linked, request, upload, time).await;
        asked.settle();
        match result {
            Ok(answer) if fields::is_coded(answer.response.headers()) => {
                track.observe(&upstream, false);
                Err(RESET)
            }
            Ok(mut answer) => {
                answer.lease.busy = busy;
                track.observe(&upstream, !answer.response.status().is_server_error());
                Ok(answer)
            }
            Err(_) if upstream.is_cut() => Err(Failure::Cut),
            Err(failure) => {
                track.observe(&upstream, failure == Failure::Client);
                Err(failure)
            }
        }
    }
}

/// It broke off, or answered what is no answer.
pub(crate) const RESET: Failure = Failure::Upstream(Cause::Reset, http::StatusCode::BAD_GATEWAY);
/// It did not answer in time.
pub(crate) const LATE: Failure =
    Failure::Upstream(Cause::Timeout, http::StatusCode::GATEWAY_TIMEOUT);

impl OverHyper<'_> {
    /// Over a kept connection, and a new one when that was stale.
    async fn exchange(
        &self,
        upstream: &Arc<Upstream>,
        linked: Linked<Sender>,
        request: Request<Upload>,
        upload: Option<&Progress>,
        time: &Times,
    ) -> Result<Answer, Failure> {
        if !linked.kept {
            return self.ask_once(upstream, linked.sender, request, upload, time).await;
        }
        let spare = is_repeatable(&request).then(|| head_of(&request));
        let request = match self.ask(upstream, linked.sender, request, upload, time).await {
            Ok(answer) => return Ok(answer),
            Err(Lost::Failed(failure)) => return Err(failure),
            Err(Lost::Unsent(unsent)) => *unsent,
            Err(Lost::Ended) => spare.ok_or(RESET)?.map(|()| Upload::empty()),
        };
        let linked = link(self.0, upstream, true, time).await?;
        self.ask_once(upstream, linked.sender, request, upload, time).await
    }

    /// Over a connection that is not stale.
    async fn ask_once(
        &self,
        upstream: &Arc<Upstream>,
        sender: Sender,
        request: Request<Upload>,
        upload: Option<&Progress>,
        time: &Times,
    ) -> Result<Answer, Failure> {
        self.ask(upstream, sender, request, upload, time).await.map_err(|lost| match lost {
            Lost::Failed(failure) => failure,
            Lost::Unsent(_) | Lost::Ended => RESET,
        })
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
        let Some(answer) = within(asked, upload, time).await else {
            sender.silence().inspect(Silence::fell);
            return Err(Lost::Failed(LATE));
        };
        let response =
            answer.map_err(|mut error| lost(error.take_message(), error.error(), upload))?;
        sender.speaks();
        let (worker, upstream) = (Rc::clone(self.0), Arc::clone(upstream));
        Ok(Answer {
            response,
            lease: Lease { worker, upstream, sender, idle: time.idle, busy: None },
        })
    }
}

/// What an error of hyper's means.
fn lost(unsent: Option<Request<Upload>>, error: &hyper::Error, upload: Option<&Progress>) -> Lost {
    match unsent {
        _ if upload.is_some_and(Progress::is_broken) => Lost::Failed(Failure::Client),
        Some(unsent) => Lost::Unsent(Box::new(unsent)),
        None if error.is_parse() || !is_the_connections(error) => Lost::Failed(RESET),
        None => Lost::Ended,
    }
}

/// Whether an error is one of the connection, or says that the request was not looked at; in
/// HTTP/2 a single stream can fail too, which is an answer of a kind.
fn is_the_connections(error: &hyper::Error) -> bool {
    let cause =
        std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause
        .is_none_or(|cause| !cause.is_reset() || cause.reason() == Some(h2::Reason::REFUSED_STREAM))
}

/// The answer, or `None` when its first byte is late.
pub(crate) async fn within<T>(
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
fn head_of(request: &Request<Upload>) -> Request<()> {
    let mut copy = Request::new(());
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
