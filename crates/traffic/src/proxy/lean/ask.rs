//! One request to one upstream of a track.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use http::StatusCode;
use tokio::time::Instant;

use super::super::balance::Busy;
use super::super::connect::{link, reach};
use super::super::forward::{Failure, RESET};
use super::super::listen::Worker;
use super::super::pool::Linked;
use super::super::route::{Times, Track};
use super::super::shield::Again;
use super::super::upload::Progress;
use super::super::upstream::Upstream;
use super::answer::Head;
use super::pipe::{Lost, Pipe};
use super::request::Outgoing;

/// An answer's head, and the connection its body comes on.
#[derive(Debug)]
pub(crate) struct Answer {
    pub head: Head,
    pub pipe: Pipe,
    upstream: Arc<Upstream>,
    /// Counts it as under way, where there is a choice of upstreams.
    busy: Option<Busy>,
}

impl Answer {
    /// Whether what goes wrong now is the end of the upstream's drain.
    pub(crate) fn is_cut(&self) -> bool {
        self.upstream.is_cut()
    }

    /// The answer is complete, `now`: the connection may carry another request.
    pub(crate) fn give_back(mut self, worker: &Worker, time: &Times, now: Instant) {
        if self.head.keeps && self.pipe.ends_clean() {
            worker.lean.give(&self.upstream, self.pipe, now.checked_add(time.idle));
        }
        drop(self.busy);
    }
}

/// A request, for as many tracks as it takes.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    worker: &'a Rc<Worker>,
    request: &'a Outgoing,
    /// Who was asked first, where there was a choice.
    asked: OnceCell<Arc<Upstream>>,
}

impl<'a> Ask<'a> {
    /// Nobody was asked yet.
    pub(crate) const fn new(worker: &'a Rc<Worker>, request: &'a Outgoing) -> Self {
        Self { worker, request, asked: OnceCell::new() }
    }
}

impl Ask<'_> {
    /// Sends it to an upstream of `track` and waits for the head of the answer; with `again` to
    /// another one, once, where that breaks off and twice is as good as once.
    pub(crate) async fn somewhere(
        &self,
        track: &Track,
        time: &Times,
        again: bool,
    ) -> Result<Answer, Failure> {
        let mut tried = None;
        let first = self.at(track, time, &mut tried).await;
        match first {
            Err(failure) if again && failure.is_broken_off() && self.request.is_repeatable() => {
                if tried.is_none() || track.upstreams.len() < 2 {
                    return first;
                }
                // Seldom, and large.
                Box::pin(self.at(track, time, &mut tried)).await
            }
            first => first,
        }
    }

    /// Sends it to an upstream of `track` and waits for the head of the answer.
    pub(crate) async fn forward(&self, track: &Track, time: &Times) -> Result<Answer, Failure> {
        self.at(track, time, &mut None).await
    }

    /// The same, with an upstream other than `tried`; says which it was.
    async fn at(
        &self,
        track: &Track,
        time: &Times,
        tried: &mut Option<u64>,
    ) -> Result<Answer, Failure> {
        let (upstream, linked) = reach(self.worker, track, time, *tried).await?;
        *tried = Some(upstream.id);
        let busy = (track.upstreams.len() > 1).then(|| {
            self.asked.get_or_init(|| Arc::clone(&upstream));
            Busy::on(&upstream)
        });
        match self.exchange(&upstream, linked, time).await {
            Ok((head, pipe)) => {
                track.observe(&upstream, !(500..600).contains(&head.status));
                Ok(Answer { head, pipe, upstream, busy })
            }
            Err(_) if upstream.is_cut() => Err(Failure::Cut),
            Err(failure) => {
                track.observe(&upstream, false);
                Err(failure)
            }
        }
    }

    /// Over a kept connection, and a new one when that was stale.
    async fn exchange(
        &self,
        upstream: &Arc<Upstream>,
        linked: Linked<Pipe>,
        time: &Times,
    ) -> Result<(Head, Pipe), Failure> {
        let Linked { sender: mut pipe, kept } = linked;
        match pipe.ask(self.request, Instant::now().checked_add(time.first_byte)).await {
            Ok(head) => return Ok((head, pipe)),
            Err(Lost::Failed(failure)) => return Err(failure),
            Err(Lost::Unsent) if kept => {}
            Err(Lost::Ended) if kept && self.request.is_repeatable() => {}
            Err(Lost::Unsent | Lost::Ended) => return Err(RESET),
        }
        let Linked::<Pipe> { sender: mut pipe, .. } =
            link(self.worker, upstream, true, time).await?;
        match pipe.ask(self.request, Instant::now().checked_add(time.first_byte)).await {
            Ok(head) => Ok((head, pipe)),
            Err(Lost::Failed(failure)) => Err(failure),
            Err(Lost::Unsent | Lost::Ended) => Err(RESET),
        }
    }
}

/// Head and body are all there, so it can always be sent again.
impl Again for Ask<'_> {
    type Answer = Answer;

    fn status(answer: &Answer) -> StatusCode {
        StatusCode::from_u16(answer.head.status).unwrap_or(StatusCode::BAD_GATEWAY)
    }

    fn is_replayable(&self) -> bool {
        true
    }

    fn give_up(&self, track: &Track) {
        self.asked.get().inspect(|upstream| track.observe(upstream, false));
    }

    fn again(
        &self,
        track: &Track,
        time: &Times,
    ) -> (impl Future<Output = Result<Answer, Failure>>, Option<Rc<Progress>>) {
        // Who is asked in the canary's place is not who is given up.
        let other = Ask::new(self.worker, self.request);
        (async move { other.somewhere(track, time, true).await }, None)
    }
}
