//! The serving threads: each has its own runtime, listening sockets, and upstream pools.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::access::Log;
use super::balance::lot;
use super::connection::serve;
use super::forward::is_shortage;
use super::pool::Pools;
use super::route::Slot;
use super::sticky::KeySource;
use super::upstream::Upstream;

/// Connections that may wait to be accepted, a thread.
const BACKLOG: i32 = 1024;
/// How often a thread tidies its pools.
const SWEEP: Duration = Duration::from_secs(1);
/// How long accepting pauses when the system is short of something.
const PAUSE: Duration = Duration::from_millis(20);
/// After so much silence the kernel asks whether the other side still lives.
const KEEPALIVE: Duration = Duration::from_mins(1);

/// A listen address and who is behind it.
#[derive(Debug)]
pub(crate) struct Door {
    /// What it really listens on: the port the system chose where `:0` was asked for.
    pub bound: SocketAddr,
    pub slot: ArcSwap<Slot>,
    turn: watch::Sender<Turn>,
    /// Connections open through it, and threads that may accept more.
    open: AtomicUsize,
}

/// Keeps a door from being done with: a connection through it, or a thread that accepts.
#[derive(Debug)]
pub(crate) struct Inside(Arc<Door>);

impl Inside {
    pub(crate) fn new(door: &Arc<Door>) -> Self {
        door.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(door))
    }

    pub(crate) const fn door(&self) -> &Arc<Door> {
        &self.0
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A change of what is behind a door. Connections from before it are let go.
#[derive(Clone, Copy, Debug)]
struct Turn {
    count: u64,
    closed: bool,
    /// When what is left of them is cut.
    cut_at: Instant,
}

impl Door {
    /// Open, with `slot` behind it.
    pub(crate) fn new(bound: SocketAddr, slot: Arc<Slot>) -> Self {
        let turn = Turn { count: 0, closed: false, cut_at: Instant::now() };
        let turn = watch::Sender::new(turn);
        Self { bound, slot: ArcSwap::new(slot), turn, open: AtomicUsize::new(0) }
    }

    /// Lets the connections go that are open now; `closed` accepts no more.
    pub(crate) fn turn(&self, closed: bool, drain: Duration) {
        self.turn.send_modify(|turn| {
            turn.count = turn.count.wrapping_add(1);
            turn.closed = closed;
            let now = Instant::now();
            turn.cut_at = now.checked_add(drain).unwrap_or(now);
        });
    }

    /// Changes from now on. That it is closed is one, also when it was before: who comes in
    /// last is told to go like the others.
    pub(crate) fn turns(&self) -> Turns {
        let mut turns = self.turn.subscribe();
        let closed = turns.borrow().closed;
        if closed {
            turns.mark_changed();
        }
        Turns(turns)
    }

    /// Connections open through it, upgraded ones aside, and threads that may accept more.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

/// Waits for changes of a door.
#[derive(Clone, Debug)]
pub(crate) struct Turns(watch::Receiver<Turn>);

impl Turns {
    /// Whether there was a change, asked as often as one likes; that takes no waker.
    pub(crate) fn has_next(&self) -> bool {
        self.0.has_changed().unwrap_or(false)
    }

    /// The next change; when connections from before it are cut. Waits for ever when the
    /// door itself is gone.
    pub(crate) async fn next(&mut self) -> Instant {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.0.borrow_and_update().cut_at
    }
}

/// Waits until what was open before a change of the door is to be cut.
pub(crate) async fn closing(mut turns: Turns) {
    let cut_at = turns.next().await;
    sleep_until(cut_at).await;
}

/// What a thread is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Accept from this socket.
    Listen(Inside, std::net::TcpListener),
    /// These upstreams left; their connections are closed for good at the given time.
    Leave(Vec<Arc<Upstream>>, Instant),
}

/// What one thread has for itself.
#[derive(Debug)]
pub(crate) struct Worker {
    pub index: usize,
    pub pools: Pools,
    pub keys: KeySource,
    pub log: Option<Log>,
    turn: Cell<u64>,
}

impl Worker {
    /// Draws a lot, to choose an upstream by.
    pub(crate) fn lot(&self) -> u64 {
        lot(self.turn.replace(self.turn.get().wrapping_add(1)))
    }
}

/// Starts the thread `index`. It ends when `orders` does.
pub(crate) fn start(
    index: usize,
    log: Option<Log>,
    orders: mpsc::UnboundedReceiver<Order>,
) -> io::Result<()> {
    let (ready, started) = std::sync::mpsc::sync_channel(1);
    std::thread::Builder::new().name(format!("proxy-{index}")).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default());
        match runtime {
            Ok(runtime) => {
                let _ = ready.send(Ok(()));
                let worker = Worker {
                    index,
                    pools: Pools::default(),
                    keys: KeySource::new(),
                    log,
                    turn: Cell::new((index as u64) << 32),
                };
                runtime.block_on(follow(Rc::new(worker), orders));
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    })?;
    started.recv().unwrap_or_else(|_| Err(io::Error::other("the thread ended at once")))
}

async fn follow(worker: Rc<Worker>, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut sweeps = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Listen(inside, listener)) => {
                    tokio::task::spawn_local(accept(Rc::clone(&worker), inside, listener));
                }
                Some(Order::Leave(upstreams, cut_at)) => {
                    tokio::task::spawn_local(super::drain::leave(Rc::clone(&worker), upstreams, cut_at));
                }
                None => return,
            },
            _ = sweeps.tick() => worker.pools.sweep(),
        }
    }
}

/// Accepts until the door is closed; then takes in who is already waiting, and stops.
async fn accept(worker: Rc<Worker>, inside: Inside, listener: std::net::TcpListener) {
    let door = inside.door();
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, address = %door.bound, "cannot listen"),
    };
    let let_in = |stream, peer| {
        tokio::task::spawn_local(serve(Rc::clone(&worker), Inside::new(door), stream, peer));
    };
    let mut turn = door.turn.subscribe();
    loop {
        tokio::select! {
            biased;
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => let_in(stream, peer),
                Err(error) if is_shortage(&error) => {
                    tracing::warn!(%error, address = %door.bound, "cannot accept");
                    sleep(PAUSE).await;
                }
                Err(_) => {}
            },
            closed = turn.wait_for(|turn| turn.closed) => {
                drop(closed);
                break;
            }
        }
    }
    // The runtime need not have noticed them yet.
    let waiting = listener.into_std().ok();
    while let Some(Ok((stream, peer))) = waiting.as_ref().map(std::net::TcpListener::accept) {
        let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        if let Ok(stream) = stream {
            let_in(stream, peer);
        }
    }
}

/// Small pieces go out at once; a peer that vanished is noticed.
pub(crate) fn tune(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    let tuned =
        stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_keepalive(&keepalive));
    if let Err(error) = tuned {
        tracing::debug!(%error, "connection cannot be tuned");
    }
}

/// Sockets for `address`, one a thread. An address that somebody listens on is refused, also
/// when that is a process like this one: it is tried without sharing first.
pub(crate) fn bind(
    address: &str,
    threads: usize,
) -> io::Result<(SocketAddr, Vec<std::net::TcpListener>)> {
    let nothing = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut bound = address.to_socket_addrs()?.next().ok_or_else(nothing)?;
    if bound.port() != 0 {
        drop(socket(bound, false)?);
    }
    let mut listeners = Vec::with_capacity(threads);
    for _ in 0..threads {
        let listener = socket(bound, true)?;
        bound = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok((bound, listeners))
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The doors of a proxy, by the address asked for.
pub(crate) type Doors = BTreeMap<String, Arc<Door>>;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::super::route::{ServiceState, Times};
    use super::*;

    #[tokio::test]
    async fn a_door_that_is_closed_tells_also_those_who_come_in_afterwards() {
        let none = Duration::ZERO;
        let time = Times { head: none, connect: none, first_byte: none, idle: none };
        let slot = Slot {
            name: Arc::from("shop"),
            state: ArcSwap::from_pointee(ServiceState::closed(none, time)),
            unserved: AtomicU64::new(0),
        };
        let door = Door::new("127.0.0.1:80".parse().unwrap(), Arc::new(slot));
        door.turn(false, Duration::ZERO);
        assert!(!door.turns().has_next(), "whom a change is not news to");
        door.turn(true, Duration::from_hours(1));
        let mut turns = door.turns();
        assert!(turns.has_next());
        assert!(turns.next().await > Instant::now());
        assert!(!turns.has_next(), "told once");
    }
}
