//! One thread's connections to each upstream, and who waits for one.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};
use std::time::Duration;

use http::StatusCode;
use rollout::route::Protocol;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::connect::CONNECTS;
use super::lean::Cut;
use super::listen::Worker;
use super::settings::IDLE_CONNECTIONS;
use super::upstream::Upstream;

/// A connection to an upstream, as a pool sees it.
pub(crate) trait Connection: Sized + 'static {
    /// Where a thread keeps connections of this kind.
    fn pools(worker: &Worker) -> &Pools<Self>;

    /// Greets an upstream over a fresh stream; `None` when that failed.
    async fn greet(worker: &Rc<Worker>, upstream: &Upstream, stream: TcpStream) -> Option<Self>;

    /// Whether it cannot take any more.
    fn is_closed(&self) -> bool;

    /// Whether it can take a request now.
    fn is_ready(&self) -> bool;

    /// Waits until it can take a request; false when it never will.
    async fn ready(&mut self) -> bool;

    /// Whether many requests share it.
    fn is_shared(&self) -> bool;

    /// Room for another request on the same connection, where many share it.
    fn another(&self) -> Option<Self>;

    /// Since when nobody but the pool has had a part of it; `None` while others have.
    fn idle_since(&self) -> Option<Instant>;
}

/// One thread's connections of one kind, by upstream.
#[derive(Debug)]
pub(crate) struct Pools<C>(RefCell<BTreeMap<u64, Pool<C>>>);

impl<C> Default for Pools<C> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

#[derive(Debug)]
struct Pool<C> {
    /// With the time until which each is kept. The one used last is at the end and is used
    /// next, so that the others grow old.
    idle: Vec<(C, Instant)>,
    /// HTTP/2: connections that many requests share, with how long each is kept idle. What
    /// stands here takes the place of one stream.
    shared: Vec<(C, Duration)>,
    /// What makes and drives connections and tunnels, so that it can be ended.
    live: Vec<Live>,
    /// Requests without a connection, in the order they came.
    line: VecDeque<Waiter<C>>,
    /// Connections being made.
    connects: usize,
}

impl<C> Default for Pool<C> {
    fn default() -> Self {
        Self {
            idle: Vec::new(),
            shared: Vec::new(),
            live: Vec::new(),
            line: VecDeque::new(),
            connects: 0,
        }
    }
}

/// What can be ended from outside.
#[derive(Debug)]
enum Live {
    Task(AbortHandle),
    /// A connection that no task drives but the one whose request is on it.
    Cut(Weak<Cut>),
}

impl Live {
    fn is_over(&self) -> bool {
        match self {
            Self::Task(task) => task.is_finished(),
            Self::Cut(cut) => cut.strong_count() == 0,
        }
    }

    fn end(&self) {
        match self {
            Self::Task(task) => task.abort(),
            Self::Cut(cut) => drop(cut.upgrade().inspect(|cut| cut.now())),
        }
    }
}

/// A request without a connection.
#[derive(Debug)]
struct Waiter<C> {
    /// It takes none that has carried a request.
    fresh: bool,
    tell: oneshot::Sender<Turn<C>>,
}

/// What waiting came to: a connection, or the status that stands for its failure.
pub(crate) type Turn<C> = Result<Linked<C>, StatusCode>;

/// A connection for one request.
#[derive(Debug)]
pub(crate) struct Linked<C> {
    pub sender: C,
    /// It has carried a request before, so it may have ended unseen.
    pub kept: bool,
}

/// Whether more connections are wanted than are being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Waits,
    Served,
}

impl<C: Connection> Pools<C> {
    /// A connection that can take a request now: an idle one, or one with room for a stream.
    pub(crate) fn take(&self, upstream: &Upstream) -> Option<C> {
        let mut pools = self.0.borrow_mut();
        let pool = pools.get_mut(&upstream.id)?;
        pool.shared.retain(|(shared, _)| !shared.is_closed());
        if let Some(another) = pool.shared.iter().find_map(|(shared, _)| shared.another()) {
            return Some(another);
        }
        let idle = &mut pool.idle;
        while idle.last().is_some_and(|(sender, _)| sender.is_closed()) {
            idle.pop();
        }
        let ready = idle.iter().rposition(|(sender, _)| sender.is_ready())?;
        Some(idle.remove(ready).0)
    }

    /// Waits in line; whether one more connection is to be made.
    pub(crate) fn wait(
        &self,
        upstream: &Upstream,
        fresh: bool,
    ) -> (oneshot::Receiver<Turn<C>>, bool) {
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
    pub(crate) fn made(&self, upstream: &Upstream, sender: C, idle: Duration) -> Line {
        if sender.is_shared() {
            self.share(upstream, sender, idle);
        } else {
            let until = Instant::now().checked_add(idle);
            self.hand(upstream, Linked { sender, kept: false }, until);
        }
        self.unmade(upstream)
    }

    fn share(&self, upstream: &Upstream, shared: C, idle: Duration) {
        let mut pools = self.0.borrow_mut();
        let pool = pools.entry(upstream.id).or_default();
        while let Some(sender) = (!pool.line.is_empty()).then(|| shared.another()).flatten() {
            let Some(waiter) = pool.line.pop_front() else { break };
            // Who does not wait any more drops it, and with it the room it took.
            drop(waiter.tell.send(Ok(Linked { sender, kept: false })));
        }
        pool.shared.push((shared, idle));
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
    /// is kept `until` then at most.
    pub(crate) fn give(&self, upstream: &Upstream, sender: C, until: Option<Instant>) {
        if !upstream.has_left() && !sender.is_closed() {
            self.hand(upstream, Linked { sender, kept: true }, until);
        }
    }

    fn hand(&self, upstream: &Upstream, mut linked: Linked<C>, until: Option<Instant>) {
        let mut pools = self.0.borrow_mut();
        let pool = pools.entry(upstream.id).or_default();
        let kept = linked.kept;
        // An answer can be complete before its request is: who waits is not made to wait for that.
        let busy = kept && !linked.sender.is_ready();
        let taker = |waiter: &Waiter<C>| !(busy || kept && waiter.fresh);
        while let Some(first) = pool.line.iter().position(taker) {
            let Some(waiter) = pool.line.remove(first) else { break };
            match waiter.tell.send(Ok(linked)) {
                Err(Ok(back)) => linked = back,
                Ok(()) | Err(Err(_)) => return,
            }
        }
        if linked.sender.is_shared() {
            return;
        }
        if let Some(until) = until.filter(|_| pool.idle.len() < IDLE_CONNECTIONS) {
            pool.idle.push((linked.sender, until));
        }
    }

    /// Remembers a task that serves this upstream.
    pub(crate) fn live(&self, upstream: &Upstream, task: AbortHandle) {
        self.0.borrow_mut().entry(upstream.id).or_default().live.push(Live::Task(task));
    }

    /// Remembers a connection that no task drives.
    pub(crate) fn live_until(&self, upstream: &Upstream, cut: &Rc<Cut>) {
        let cut = Live::Cut(Rc::downgrade(cut));
        self.0.borrow_mut().entry(upstream.id).or_default().live.push(cut);
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
        for live in pool.into_iter().flat_map(|pool| pool.live) {
            live.end();
        }
    }

    /// Forgets what is over and closes what was idle for too long.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        self.0.borrow_mut().retain(|_, pool| {
            pool.live.retain(|live| !live.is_over());
            pool.idle.retain(|(sender, until)| !sender.is_closed() && now < *until);
            pool.shared.retain(|(shared, idle)| {
                let until = shared.idle_since().and_then(|since| since.checked_add(*idle));
                !shared.is_closed() && until.is_none_or(|until| now < until)
            });
            !(pool.idle.is_empty() && pool.shared.is_empty() && pool.live.is_empty())
        });
    }
}

impl<C> Pool<C> {
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

    use super::super::sender::Sender;
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
            let (pools, until) =
                (Pools::default(), Instant::now().checked_add(Duration::from_hours(1)));
            let upstream = Upstream::new("127.0.0.1:1", Protocol::Http1);
            let (mut turn, _) = pools.wait(&upstream, false);
            assert!(!sender.is_ready(), "its request is under way");
            pools.give(&upstream, Sender::Http1(sender), until);
            assert!(turn.try_recv().is_err(), "nobody got it");
            assert!(pools.take(&upstream).is_none(), "nor does who asks for one");

            far.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            drop(asked.await.unwrap_or_else(|_| panic!("it is answered")));
            let mut sender = pools.take(&upstream).expect("it is kept");
            assert!(sender.ready().await);
            pools.give(&upstream, sender, until);
            assert!(turn.try_recv().is_ok(), "who waits gets it once it is ready");
        };
        LocalSet::new().run_until(test).await;
    }
}
