//! New connections to an upstream: few at a time, and tried again.
//!
//! A request that finds no kept connection waits in line for one: for the next that another
//! request is done with, or for one of those being made. A thread makes at most [`CONNECTS`]
//! at once to an upstream, so that a weight that jumps does not flood a short listen queue;
//! who waits loses nothing by it, since a service that cannot take connections faster would
//! let them wait as well, or drop them.
//!
//! A dropped connection attempt shows as silence, and the kernel asks again only after a
//! second, which is the whole default limit. So an attempt gets a quarter of the limit before
//! it is given up for a new one, and each after it twice as long: with 1 s, at 0, 250 and
//! 750 ms. Nothing was sent on a connection that was not made, so this is safe for any request.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::count::Cause;
use super::forward::Failure;
use super::listen::{Worker, tune};
use super::pool::{Line, Linked};
use super::route::Times;
use super::sender::Sender;
use super::upstream::Upstream;

/// Connections being made by one thread to one upstream at the same time.
pub(crate) const CONNECTS: usize = 8;
/// Pause before an upstream that refused is asked once more: it may just be starting again.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);

/// A connection to `upstream` in time: a kept one unless it must be `fresh`.
pub(crate) async fn link(
    worker: &Rc<Worker>,
    upstream: &Arc<Upstream>,
    fresh: bool,
    time: &Times,
) -> Result<Linked, Failure> {
    let by = Instant::now().checked_add(time.connect).unwrap_or_else(Instant::now);
    loop {
        if upstream.is_cut() {
            return Err(Failure::Cut);
        }
        if !fresh && let Some(sender) = worker.pools.take(upstream) {
            return Ok(Linked { sender, kept: true });
        }
        let (turn, connects) = worker.pools.wait(upstream, fresh);
        if connects {
            let task =
                tokio::task::spawn_local(make(Rc::clone(worker), Arc::clone(upstream), *time));
            worker.pools.live(upstream, task.abort_handle());
        }
        let ready = async {
            match turn.await {
                Ok(Ok(mut linked)) => linked.sender.ready().await.is_ok().then_some(Ok(linked)),
                Ok(Err(status)) => Some(Err(failed(status))),
                // Only the end of the upstream's drain drops those who wait.
                Err(_) => Some(Err(Failure::Cut)),
            }
        };
        match timeout_at(by, ready).await {
            Ok(Some(result)) => return result,
            // It ended while it was handed over.
            Ok(None) => {}
            Err(_) => return Err(failed(StatusCode::GATEWAY_TIMEOUT)),
        }
    }
}

const fn failed(status: StatusCode) -> Failure {
    Failure::Upstream(Cause::Connect, status)
}

/// Makes connections, one after the other, for as long as somebody waits for them.
async fn make(worker: Rc<Worker>, upstream: Arc<Upstream>, time: Times) {
    let mut line = Line::Waits;
    while line == Line::Waits {
        line = match one(&worker, &upstream, time.connect).await {
            Some(Ok(sender)) => worker.pools.made(&upstream, sender, time.idle),
            Some(Err(status)) => worker.pools.refused(&upstream, status),
            None => worker.pools.unmade(&upstream),
        };
    }
}

/// One connection; `None` when there was none in time, or nobody wanted it any more.
async fn one(
    worker: &Rc<Worker>,
    upstream: &Upstream,
    limit: Duration,
) -> Option<Result<Sender, StatusCode>> {
    let by = Instant::now().checked_add(limit)?;
    let mut share = limit.checked_div(4)?;
    let mut refused = false;
    while worker.pools.is_wanted(upstream) {
        let left = by.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        match timeout(share.min(left), TcpStream::connect(&*upstream.address)).await {
            Ok(Ok(stream)) => return Some(greet(worker, upstream, stream).await),
            Ok(Err(_)) if refused => return Some(Err(StatusCode::BAD_GATEWAY)),
            Ok(Err(_)) => {
                refused = true;
                sleep(REFUSED_PAUSE.min(left)).await;
            }
            Err(_) => share = share.saturating_mul(2),
        }
    }
    None
}

async fn greet(
    worker: &Rc<Worker>,
    upstream: &Upstream,
    stream: TcpStream,
) -> Result<Sender, StatusCode> {
    tune(&stream);
    Sender::greet(worker, upstream, stream).await.map_err(|_| StatusCode::BAD_GATEWAY)
}
