//! The serving threads: each has its own runtime, listening sockets, and upstream pools.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::access::Log;
use super::exchange::{Client, answer};
use super::fields::Origin;
use super::forward::is_shortage;
use super::route::Slot;
use super::settings::{BUFFER_BYTES, HEAD_BYTES, HEADERS};
use super::sticky::KeySource;
use super::upstream::{Pools, Upstream};
use super::wire::{Line, Wire};

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
    /// Connections open through it.
    open: AtomicUsize,
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

    /// Changes from now on.
    pub(crate) fn turns(&self) -> Turns {
        Turns(self.turn.subscribe())
    }

    /// Connections open through it, upgraded ones aside.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

/// Waits for changes of a door.
#[derive(Debug)]
pub(crate) struct Turns(watch::Receiver<Turn>);

impl Turns {
    /// The next change; when connections from before it are cut. Waits for ever when the
    /// door itself is gone.
    async fn next(&mut self) -> Instant {
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
    Listen(Arc<Door>, std::net::TcpListener),
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
    turn: Cell<usize>,
}

impl Worker {
    /// Counts requests, to go round upstreams.
    pub(crate) fn turn(&self) -> usize {
        self.turn.replace(self.turn.get().wrapping_add(1))
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
                    turn: Cell::new(index),
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
                Some(Order::Listen(door, listener)) => {
                    tokio::task::spawn_local(accept(Rc::clone(&worker), door, listener));
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
async fn accept(worker: Rc<Worker>, door: Arc<Door>, listener: std::net::TcpListener) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, address = %door.bound, "cannot listen"),
    };
    let mut turn = door.turn.subscribe();
    loop {
        tokio::select! {
            biased;
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    tokio::task::spawn_local(serve(Rc::clone(&worker), Arc::clone(&door), stream, peer));
                }
                Err(error) if is_shortage(&error) => {
                    tracing::warn!(%error, address = %door.bound, "cannot accept");
                    sleep(PAUSE).await;
                }
                Err(_) => {}
            },
            closed = turn.wait_for(|turn| turn.closed) => {
                drop(closed);
                return;
            }
        }
    }
}

/// Serves one connection to its end, or to the end of its drain.
async fn serve(worker: Rc<Worker>, door: Arc<Door>, stream: TcpStream, peer: SocketAddr) {
    door.open.fetch_add(1, Ordering::Relaxed);
    let mut turns = door.turns();
    let slot = door.slot.load_full();
    let time = slot.state.load().time;
    tune(&stream);
    let line = Arc::new(Line::default());
    let wire = Wire::new(stream, Arc::clone(&line), time.head, time.idle);
    let client =
        Rc::new(Client { worker, door: Arc::clone(&door), slot, origin: Origin::new(peer), line });
    let service = service_fn(move |request| answer(Rc::clone(&client), request));
    let mut connection =
        pin!(builder().serve_connection(TokioIo::new(wire), service).with_upgrades());
    if let Some(cut_at) = until_turned(connection.as_mut(), &mut turns).await {
        connection.as_mut().graceful_shutdown();
        let _ = timeout_at(cut_at, connection).await;
    }
    door.open.fetch_sub(1, Ordering::Relaxed);
}

/// Drives a connection to its end (`None`) or to a change of its door. The change is asked
/// for once, which leaves a waker, and then only when something woke the task that was not
/// the connection alone: a look at a version, not a lock, on the path.
async fn until_turned(mut connection: Pin<&mut impl Future>, turns: &mut Turns) -> Option<Instant> {
    let watched = turns.0.clone();
    let mut turned = pin!(turns.next());
    let mut registered = false;
    std::future::poll_fn(|cx| {
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        if registered && !watched.has_changed().unwrap_or(false) {
            return Poll::Pending;
        }
        registered = true;
        turned.as_mut().poll(cx).map(Some)
    })
    .await
}

/// How hyper serves: half-closed clients are kept by [`Wire`], times are its too; the date
/// is the upstream's business.
fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .max_buf_size(BUFFER_BYTES)
        .max_header_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .header_read_timeout(None)
        .auto_date_header(false);
    builder
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
