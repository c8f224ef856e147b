//! The shield: what the canary fails is answered by stable instead.
//!
//! A request may be sent again when its method says that twice is as good as once (RFC 9110,
//! 9.2.2), or when its client says so with an `Idempotency-Key`; `TRACE` shows the way it
//! takes and is left alone. Its body is kept while it passes by, up to a limit.
//!
//! It *is* sent again when the canary cannot be reached, breaks off, or answers 502, 503 or
//! 504 (every 5xx where asked), all before any byte of an answer went to the client: half an
//! answer cannot be taken back. What the canary did counts as its failure all the same, for
//! the gates and for the guard; only the client is spared. When stable fails too, its answer
//! is the one the client gets.
//!
//! A canary that has not begun to answer within the shield's own limit gets a rival: stable is
//! asked as well, and whoever answers first serves. When that is the canary, or when it is
//! no later than stable by a tenth of the limit, it was slow and did not fail: requests
//! that wait for an event, or that are slow wherever they run, are no evidence against it.

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Method, StatusCode};
use rollout::route::ShieldErrors;
use tokio::time::timeout;

use super::count::Cause;
use super::forward::{Failure, within};
use super::route::{Times, Track};
use super::upload::Progress;
use super::visit::Visit;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How one service is shielded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shield {
    pub timeout: Duration,
    pub body_limit: u64,
    pub errors: ShieldErrors,
    /// Answers of stable's in the canary's place say so.
    pub mark: bool,
}

impl Shield {
    /// As the route says.
    pub(crate) const fn of(shield: &rollout::route::Shield) -> Self {
        let rollout::route::Shield { timeout, body_limit, errors, mark } = *shield;
        Self { timeout: timeout.to_std(), body_limit, errors, mark }
    }
}

/// Who answers when the canary fails, and how that is decided.
#[derive(Clone, Debug)]
pub(crate) struct Cover {
    pub stable: Arc<Track>,
    pub shield: Shield,
}

/// What it takes to send a request again.
pub(crate) trait Again {
    /// What an upstream answers.
    type Answer;

    /// The status of an answer.
    fn status(answer: &Self::Answer) -> StatusCode;

    /// Whether everything that was sent so far can be sent again.
    fn is_replayable(&self) -> bool;

    /// The answer of `track` is waited for no longer: who was asked is told.
    fn give_up(&self, track: &Track);

    /// The same request to another track, and how its upload is getting on, where it has one.
    fn again(
        &self,
        track: &Track,
        time: &Times,
    ) -> (impl Future<Output = Result<Self::Answer, Failure>>, Option<Rc<Progress>>);
}

/// Whose answer it is.
#[derive(Debug)]
pub(crate) enum Served<A> {
    /// That of the track the request was for.
    Own(Result<A, Failure>),
    /// Stable's, in the canary's place; what the canary did is counted.
    Relieved(Result<A, Failure>),
}

/// The status and the cause of a failure of the canary's that the shield takes.
type Fault = (StatusCode, Option<Cause>);

impl Cover {
    /// Whether a request may be sent twice.
    pub(crate) fn takes(method: &Method, headers: &HeaderMap) -> bool {
        let idempotent = [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE];
        idempotent.contains(method)
            || (*method != Method::TRACE && headers.contains_key(IDEMPOTENCY_KEY))
    }

    /// Waits for the canary's answer, `own`, and for stable's when that fails.
    pub(crate) async fn spare<R: Again>(
        &self,
        own: impl Future<Output = Result<R::Answer, Failure>>,
        upload: Option<&Progress>,
        request: &R,
        visit: &mut Visit,
        time: &Times,
    ) -> Served<R::Answer> {
        let mut own = pin!(own);
        let patience = Times { first_byte: self.shield.timeout, ..*time };
        let fault = match within(own.as_mut(), upload, &patience).await {
            Some(result) => match self.fault::<R>(&result) {
                Some(fault) if request.is_replayable() => fault,
                _ => return Served::Own(result),
            },
            None if !request.is_replayable() => return Served::Own(own.await),
            None => return self.compete(own, request, visit, time).await,
        };
        visit.answered(fault.0.as_u16(), fault.1);
        let (replay, upload) = request.again(&self.stable, time);
        visit.uploads(upload);
        self.relieved::<R>(visit, replay.await)
    }

    /// The canary is slow: stable is asked as well.
    async fn compete<R: Again>(
        &self,
        mut own: Pin<&mut impl Future<Output = Result<R::Answer, Failure>>>,
        request: &R,
        visit: &mut Visit,
        time: &Times,
    ) -> Served<R::Answer> {
        let (replay, upload) = request.again(&self.stable, time);
        let mut replay = pin!(replay);
        let (result, rival) = tokio::select! {
            biased;
            result = own.as_mut() => (Some(result), None),
            rival = replay.as_mut() => {
                // A rival that failed is no reason to give up on the canary.
                let grace = self.shield.timeout.checked_div(10).unwrap_or_default();
                let result = match &rival {
                    Ok(answer) if !R::status(answer).is_server_error() => {
                        timeout(grace, own.as_mut()).await.ok()
                    }
                    _ => Some(own.await),
                };
                (result, Some(rival))
            }
        };
        let fault = if let Some(result) = result {
            // Stable has what it takes, whatever was kept since.
            match self.fault::<R>(&result) {
                None => return Served::Own(result),
                Some(fault) => fault,
            }
        } else {
            request.give_up(visit.track());
            (StatusCode::GATEWAY_TIMEOUT, Some(Cause::Timeout))
        };
        // Before stable is waited for: a client that gives up meanwhile takes nothing back.
        visit.answered(fault.0.as_u16(), fault.1);
        visit.uploads(upload);
        let rival = match rival {
            Some(rival) => rival,
            None => replay.await,
        };
        self.relieved::<R>(visit, rival)
    }

    /// Stable's answer is the one; the request counts as stable's to let finish.
    fn relieved<R: Again>(
        &self,
        visit: &mut Visit,
        answer: Result<R::Answer, Failure>,
    ) -> Served<R::Answer> {
        let status = match &answer {
            Ok(answer) => R::status(answer).as_u16(),
            Err(Failure::Upstream(_, status)) => status.as_u16(),
            Err(Failure::Client | Failure::Cut) => 503,
        };
        visit.relieved(&self.stable, status);
        Served::Relieved(answer)
    }

    /// What the shield takes; `None` when the client is to have this.
    fn fault<R: Again>(&self, result: &Result<R::Answer, Failure>) -> Option<Fault> {
        match result {
            Err(Failure::Upstream(cause, status)) => Some((*status, Some(*cause))),
            Err(Failure::Client | Failure::Cut) => None,
            Ok(answer) => {
                let status = R::status(answer);
                let taken = match self.shield.errors {
                    ShieldErrors::Gateway => (502..=504).contains(&status.as_u16()),
                    ShieldErrors::All => status.is_server_error(),
                };
                taken.then_some((status, None))
            }
        }
    }
}
