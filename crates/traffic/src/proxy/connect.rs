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
use super::pool::{Connection, Line, Linked};
use super::route::{Times, Track};
use super::upstream::Upstream;

/// Connections being made by one thread to one upstream at the same time.
pub(crate) const CONNECTS: usize = 8;
/// Pause before an upstream that refused is asked once more: it may just be starting again.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);

const UNSERVED: Failure = failed(StatusCode::SERVICE_UNAVAILABLE);

/// A connection to an upstream of the track, other than `tried`. Where one cannot be reached,
/// another is tried: nothing was sent yet.
pub(crate) async fn reach<C: Connection>(
    worker: &Rc<Worker>,
    track: &Track,
    time: &Times,
    tried: Option<u64>,
) -> Result<(Arc<Upstream>, Linked<C>), Failure> {
    let lot = worker.lot();
    let upstream = track.pick(lot, tried).ok_or(UNSERVED)?;
    let mut time = *time;
    if track.upstreams.len() > 1 {
        time.connect = time.connect.checked_div(2).unwrap_or_default();
    }
    match link(worker, upstream, false, &time).await {
        Ok(linked) => Ok((Arc::clone(upstream), linked)),
        Err(failure) => {
            track.observe(upstream, false);
            let other = track.pick(lot, Some(upstream.id)).ok_or(failure)?;
            let linked = link(worker, other, false, &time).await.inspect_err(|_| {
                track.observe(other, false);
            })?;
            Ok((Arc::clone(other), linked))
        }
    }
}

/// A connection to `upstream` in time: a kept one unless it must be `fresh`.
pub(crate) async fn link<C: Connection>(
    worker: &Rc<Worker>,
    upstream: &Arc<Upstream>,
    fresh: bool,
    time: &Times,
) -> Result<Linked<C>, Failure> {
    let pools = C::pools(worker);
    if !fresh
        && !upstream.is_cut()
        && let Some(sender) = pools.take(upstream)
    {
        return Ok(Linked { sender, kept: true });
    }
    let by = Instant::now().checked_add(time.connect).unwrap_or_else(Instant::now);
    loop {
        if upstream.is_cut() {
            return Err(Failure::Cut);
        }
        if !fresh && let Some(sender) = pools.take(upstream) {
            return Ok(Linked { sender, kept: true });
        }
        let (turn, connects) = pools.wait(upstream, fresh);
        if connects {
            let making = make::<C>(Rc::clone(worker), Arc::clone(upstream), *time);
            let task = tokio::task::spawn_local(making);
            pools.live(upstream, task.abort_handle());
        }
        let ready = async {
            match turn.await {
                Ok(Ok(mut linked)) => linked.sender.ready().await.then_some(Ok(linked)),
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
async fn make<C: Connection>(worker: Rc<Worker>, upstream: Arc<Upstream>, time: Times) {
    let pools = C::pools(&worker);
    let mut line = Line::Waits;
    while line == Line::Waits {
        line = match one(&worker, &upstream, time.connect).await {
            Some(Ok(sender)) => pools.made(&upstream, sender, time.idle),
            Some(Err(status)) => pools.refused(&upstream, status),
            None => pools.unmade(&upstream),
        };
    }
}

/// One connection; `None` when there was none in time, or nobody wanted it any more.
async fn one<C: Connection>(
    worker: &Rc<Worker>,
    upstream: &Upstream,
    limit: Duration,
) -> Option<Result<C, StatusCode>> {
    let by = Instant::now().checked_add(limit)?;
    let mut share = limit.checked_div(4)?;
    let mut refused = false;
    while C::pools(worker).is_wanted(upstream) {
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

async fn greet<C: Connection>(
    worker: &Rc<Worker>,
    upstream: &Upstream,
    stream: TcpStream,
) -> Result<C, StatusCode> {
    tune(&stream);
    C::greet(worker, upstream, stream).await.ok_or(StatusCode::BAD_GATEWAY)
}
