//! Copies of requests that stable answers, sent to a canary that has no users yet.
//!
//! The client is answered by stable alone: the copy is a task of its own on the same thread, what
//! it is answered is thrown away, and it is a request of nobody's for the ledger and the guard.
//! Only requests that ask for nothing to be changed (RFC 9110, 9.2.1) and have no body are
//! copied. A copy tells the canary what it is.

mod copies;

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{Method, Request};
use http_body::Body;
use rollout::units::Weight;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::forward::{Answer, Asked, Failure, OverHyper};
use super::guard::{Side, micros};
use super::listen::Worker;
use super::route::{ServiceState, Times, Track};
use super::split::Seat;
use super::upload::Upload;
pub(crate) use copies::{Copies, Met};

/// What a copy carries, and nothing that comes from a client does.
pub(crate) const MARK: HeaderName = HeaderName::from_static("sluice-mirror");
/// Most copies under way, a thread. A canary that is slow must not eat the memory that users need.
const MOST: u32 = 64;

/// The canary that is to get a copy of a request that takes `seat`; `None` when nobody is, or the
/// lot falls otherwise. Whoever is counted apart is no sample of the users, as elsewhere.
pub(crate) fn drawn(
    state: &ServiceState,
    seat: &Seat,
    head: &Parts,
    worker: &Worker,
) -> Option<Arc<Track>> {
    let canary = state.canary.as_ref().filter(|canary| canary.mirror > Weight::ZERO)?;
    let ordinary = seat.side == Side::Stable && seat.apart.is_none();
    let copied = ordinary && is_safe(head) && canary.is_open();
    let drawn = copied && is_drawn(canary.mirror, worker.lot());
    drawn.then(|| Arc::clone(&canary.track))
}

fn is_drawn(mirror: Weight, lot: u64) -> bool {
    let step = lot.checked_rem(u64::from(Weight::FULL.steps()));
    step.is_some_and(|step| step < u64::from(mirror.steps()))
}

/// Whether a request asks for nothing to be changed, and says of no body that it has one.
fn is_safe(head: &Parts) -> bool {
    let bodiless = head.headers.get(CONTENT_LENGTH).is_none_or(|length| length == "0");
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(&head.method)
        && bodiless
        && [TRANSFER_ENCODING, UPGRADE].iter().all(|name| !head.headers.contains_key(name))
}

/// Sends a copy of a request with this head, made fit for an upstream. Who gets it back says how
/// stable answered; whoever drops it says that it did not.
pub(crate) fn send(
    worker: &Rc<Worker>,
    canary: Arc<Track>,
    head: &Parts,
    time: &Times,
) -> Option<oneshot::Sender<Met>> {
    let Some(slot) = Slot::take(worker) else {
        canary.ledger.copies.dropped();
        return None;
    };
    canary.ledger.copies.sent();
    let mut request = Request::new(Upload::empty());
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = head.uri.clone();
    request.headers_mut().clone_from(&head.headers);
    request.headers_mut().insert(MARK, HeaderValue::from_static("1"));
    let (met, stable) = oneshot::channel();
    tokio::task::spawn_local(copy(slot, canary, request, *time, stable));
    Some(met)
}

async fn copy(
    slot: Slot,
    canary: Arc<Track>,
    request: Request<Upload>,
    time: Times,
    stable: oneshot::Receiver<Met>,
) {
    let began = Instant::now();
    let answer = OverHyper(&slot.0).forward(&canary, request, None, &time, &Asked::default()).await;
    let us = micros(began.elapsed());
    let status = match &answer {
        Ok(answer) => Some(answer.response.status().as_u16()),
        Err(Failure::Upstream(_, status)) => Some(status.as_u16()),
        Err(Failure::Client | Failure::Cut) => None,
    };
    if let Ok(answer) = answer {
        // What does not end in time is closed: an endless answer would keep its place for ever.
        let _ = timeout(time.first_byte, throw_away(answer)).await;
    }
    if let (Ok(stable), Some(status)) = (stable.await, status) {
        canary.ledger.copies.compare(stable, Met { status, us });
    }
}

/// Reads an answer to its end, so that its connection can be used again.
async fn throw_away(answer: Answer) {
    let Answer { response, lease } = answer;
    let mut body = response.into_body();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if frame.is_err() {
            return;
        }
    }
    lease.give_back();
}

/// One of the places for copies of a thread.
#[derive(Debug)]
struct Slot(Rc<Worker>);

impl Slot {
    fn take(worker: &Rc<Worker>) -> Option<Self> {
        let taken = worker.copies.get();
        (taken < MOST).then(|| {
            worker.copies.set(taken.saturating_add(1));
            Self(Rc::clone(worker))
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.copies.set(self.0.copies.get().saturating_sub(1));
    }
}
