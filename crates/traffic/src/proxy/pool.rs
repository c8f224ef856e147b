//! One thread's connections to each upstream, and who waits for one.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use http::StatusCode;
use rollout::route::Protocol;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::connect::CONNECTS;
use super::sender::{Sender, Stream};
use super::settings::IDLE_CONNECTIONS;
use super::upstream::Upstream;

/// One thread's connections, by upstream.
#[derive(Debug, Default)]
pub(crate) struct Pools(RefCell<BTreeMap<u64, Pool>>);

#[derive(Debug, Default)]
struct Pool {
    /// With the time until which each is kept. The one used last is at the end and is used
    /// next, so that the others grow old.
    idle: Vec<(Sender, Instant)>,
    /// HTTP/2: connections that many requests share, with how long each is kept idle. What
    /// stands here takes the place of one stream.
    shared: Vec<(Stream, Duration)>,
    /// The tasks that make and drive connections and tunnels, so that they can be ended.
    live: Vec<AbortHandle>,
    /// Requests without a connection, in the order they came.
    line: VecDeque<Waiter>,
    /// Connections being made.
    connects: usize,
}

/// A request without a connection.
#[derive(Debug)]
struct Waiter {
    /// It takes none that has carried a request.
    fresh: bool,
    tell: oneshot::Sender<Turn>,
}

/// What waiting came to: a connection, or the status that stands for its failure.
pub(crate) type Turn = Result<Linked, StatusCode>;

/// A connection for one request.
#[derive(Debug)]
pub(crate) struct Linked {
    pub sender: Sender,
    /// It has carried a request before, so it may have ended unseen.
    pub kept: bool,
}

/// Whether more connections are wanted than are being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Waits,
    Served,
}

impl Pools {
    /// A connection that can take a request now: an idle one, or one with room for a stream.
    pub(crate) fn take(&self, upstream: &Upstream) -> Option<Sender> {
        let mut pools = self.0.borrow_mut();
        let pool = pools.get_mut(&upstream.id)?;
        pool.shared.retain(|(stream, _)| !stream.is_closed());
        if let Some(stream) = pool.shared.iter().find_map(|(stream, _)| stream.another()) {
            return Some(Sender::Http2(stream));
        }
        let idle = &mut pool.idle;
        while idle.last().is_some_and(|(sender, _)| sender.is_closed()) {
            idle.pop();
        }
        let ready = idle.iter().rposition(|(sender, _)| sender.is_ready())?;
        Some(idle.remove(ready).0)
    }

    /// Waits in line; whether one more connection is to be made.
    pub(crate) fn wait(&self, upstream: &Upstream, fresh: bool) -> (oneshot::Receiver<Turn>, bool) {
        let (tell, turn) = oneshot::channel();
        let mut pools = self.0.borrow_mut();
        let pool = pools.entry(upstream.id).or_default();
        pool.line.push_back(Waiter { fresh, tell });
        // One connection over HTTP/2 is enough for all who wait, as a rule.
        let most = if upstream.protocol == Protocol::H2c { 1 } else { CONNECTS };
        let connects = pool.connects < most;
        pool.connects = pool.connects.saturating_add(usize::from(connects));
        (turn, connects)
    }

    /// Whether anybody waits.
    pub(crate) fn is_wanted(&self, upstream: &Upstream) -> bool {
        self.0.borrow_mut().get_mut(&upstream.id).is_some_and(|pool| pool.waiting() > 0)
    }

    /// A connection was made: the first in line gets it, or as many as it has streams for.
    pub(crate) fn made(&self, upstream: &Upstream, sender: Sender, idle: Duration) -> Line {
        match sender {
            Sender::Http1(_) => self.hand(upstream, Linked { sender, kept: false }, idle),
            Sender::Http2(stream) => self.share(upstream, stream, idle),
        }
        self.unmade(upstream)
    }

    fn share(&self, upstream: &Upstream, stream: Stream, idle: Duration) {
        let mut pools = self.0.borrow_mut();
        let pool = pools.entry(upstream.id).or_default();
        while let Some(another) = (!pool.line.is_empty()).then(|| stream.another()).flatten() {
            let Some(waiter) = pool.line.pop_front() else { break };
            let sender = Sender::Http2(another);
            // Who does not wait any more drops it, and with it the room it took.
            drop(waiter.tell.send(Ok(Linked { sender, kept: false })));
        }
        pool.shared.push((stream, idle));
    }

    /// A connection was refused: whoever waits is told.
    pub(crate) fn refused(&self, upstream: &Upstream, status: StatusCode) -> Line {
        if let Some(pool) = self.0.borrow_mut().get_mut(&upstream.id) {
            for waiter in pool.line.drain(..) {
                let _ = waiter.tell.send(Err(status));
            }
        }
        self.unmade(upstream)
    }

    /// The making of a connection is over; with [`Line::Waits`] another is to begin.
    pub(crate) fn unmade(&self, upstream: &Upstream) -> Line {
        let mut pools = self.0.borrow_mut();
        let Some(pool) = pools.get_mut(&upstream.id) else {
            return Line::Served;
        };
        if pool.waiting() >= pool.connects {
            return Line::Waits;
        }
        pool.connects = pool.connects.saturating_sub(1);
        Line::Served
    }

    /// A connection whose answer is complete: the first in line who takes it gets it, or it
    /// is kept for `idle` at most.
    pub(crate) fn give(&self, upstream: &Upstream, sender: Sender, idle: Duration) {
        if !upstream.has_left() && !sender.is_closed() {
            self.hand(upstream, Linked { sender, kept: true }, idle);
        }
    }

    fn hand(&self, upstream: &Upstream, mut linked: Linked, idle: Duration) {
        let mut pools = self.0.borrow_mut();
        let pool = pools.entry(upstream.id).or_default();
        let kept = linked.kept;
        // An answer can be complete before its request is: who waits is not made to wait for that.
        let busy = kept && !linked.sender.is_ready();
        let taker = |waiter: &Waiter| !(busy || kept && waiter.fresh);
        while let Some(first) = pool.line.iter().position(taker) {
            let Some(waiter) = pool.line.remove(first) else { break };
            match waiter.tell.send(Ok(linked)) {
                Err(Ok(back)) => linked = back,
                Ok(()) | Err(Err(_)) => return,
            }
        }
        if matches!(linked.sender, Sender::Http2(_)) {
            return;
        }
        let until = Instant::now().checked_add(idle);
        if let Some(until) = until.filter(|_| pool.idle.len() < IDLE_CONNECTIONS) {
            pool.idle.push((linked.sender, until));
        }
    }

    /// Remembers a task that serves this upstream.
    pub(crate) fn live(&self, upstream: &Upstream, task: AbortHandle) {
        self.0.borrow_mut().entry(upstream.id).or_default().live.push(task);
    }

    /// Closes the idle connections.
    pub(crate) fn forget_idle(&self, upstream: &Upstream) {
        let idle = self
            .0
            .borrow_mut()
            .get_mut(&upstream.id)
            .map(|pool| (std::mem::take(&mut pool.idle), std::mem::take(&mut pool.shared)));
        drop(idle);
    }

    /// Ends everything that still goes on with an upstream.
    pub(crate) fn end(&self, upstream: &Upstream) {
        let pool = self.0.borrow_mut().remove(&upstream.id);
        for task in pool.into_iter().flat_map(|pool| pool.live) {
            task.abort();
        }
    }

    /// Forgets what is over and closes what was idle for too long.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        self.0.borrow_mut().retain(|_, pool| {
            pool.live.retain(|task| !task.is_finished());
            pool.idle.retain(|(sender, until)| !sender.is_closed() && now < *until);
            pool.shared.retain(|(stream, idle)| {
                let until = stream.idle_since().and_then(|since| since.checked_add(*idle));
                !stream.is_closed() && until.is_none_or(|until| now < until)
            });
            !(pool.idle.is_empty() && pool.shared.is_empty() && pool.live.is_empty())
        });
    }
}

impl Pool {
    /// Who still waits: those whose client or whose patience is gone are forgotten.
    fn waiting(&mut self) -> usize {
        self.line.retain(|waiter| !waiter.tell.is_closed());
        self.line.len()
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use hyper::client::conn::http1;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::{LocalSet, spawn_local};

    use super::super::upload::Upload;
    use super::*;

    #[tokio::test]
    async fn a_connection_that_is_still_busy_is_handed_to_nobody_who_waits() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let test = async move {
            let near = TcpStream::connect(address).await.unwrap();
            let (mut far, _) = listener.accept().await.unwrap();
            let (mut sender, connection) = http1::handshake(TokioIo::new(near)).await.unwrap();
            spawn_local(connection);
            sender.ready().await.unwrap();
            let asked = sender.try_send_request(Request::new(Upload::empty()));
            far.read_exact(&mut [0; 4]).await.unwrap();
            let (pools, idle) = (Pools::default(), Duration::from_hours(1));
            let upstream = Upstream::new("127.0.0.1:1", Protocol::Http1);
            let (mut turn, _) = pools.wait(&upstream, false);
            assert!(!sender.is_ready(), "its request is under way");
            pools.give(&upstream, Sender::Http1(sender), idle);
            assert!(turn.try_recv().is_err(), "nobody got it");
            assert!(pools.take(&upstream).is_none(), "nor does who asks for one");

            far.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            drop(asked.await.unwrap_or_else(|_| panic!("it is answered")));
            let mut sender = pools.take(&upstream).expect("it is kept");
            sender.ready().await.unwrap();
            pools.give(&upstream, sender, idle);
            assert!(turn.try_recv().is_ok(), "who waits gets it once it is ready");
        };
        LocalSet::new().run_until(test).await;
    }
}
