//! The serving threads: each has its own runtime, listening sockets, and upstream pools.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::access::Log;
use super::balance::lot;
use super::connection::serve;
use super::door::Inside;
use super::forward::is_shortage;
use super::handover::Listening;
use super::lean::Pipe;
use super::pool::Pools;
use super::sender::Sender;
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
    /// Connections that hyper drives.
    pub pools: Pools<Sender>,
    /// Connections that requests drive themselves.
    pub lean: Pools<Pipe>,
    pub keys: KeySource,
    pub log: Option<Log>,
    /// Copies under way.
    pub copies: Cell<u32>,
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
                    lean: Pools::default(),
                    keys: KeySource::new(),
                    log,
                    copies: Cell::new(0),
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
            _ = sweeps.tick() => {
                worker.pools.sweep();
                worker.lean.sweep();
            }
        }
    }
}

/// Whether accepting fails for want of something, so that it is said once and not at each try.
#[derive(Debug, Default)]
struct Shortage(bool);

impl Shortage {
    /// It fails; true when it did not before.
    const fn begins(&mut self) -> bool {
        !std::mem::replace(&mut self.0, true)
    }

    /// It does not; true when it did before.
    const fn ends(&mut self) -> bool {
        std::mem::replace(&mut self.0, false)
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
    let mut shortage = Shortage::default();
    let mut closed = pin!(door.closed());
    loop {
        tokio::select! {
            biased;
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    if shortage.ends() {
                        tracing::info!(address = %door.bound, "accepting again");
                    }
                    let_in(stream, peer);
                }
                Err(error) if is_shortage(&error) => {
                    if shortage.begins() {
                        tracing::warn!(%error, address = %door.bound, "cannot accept");
                    }
                    sleep(PAUSE).await;
                }
                Err(_) => {}
            },
            () = &mut closed => break,
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
/// when that is a process like this one: it is tried without sharing first. Of a port in `own`,
/// which this process listens on already, that cannot be said: another host name, or all of them
/// (`0.0.0.0`), may be listened on beside it, so that a service can move there.
pub(crate) fn bind(address: &str, threads: usize, own: &[u16]) -> io::Result<Listening> {
    let nothing = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let bound = address.to_socket_addrs()?.next().ok_or_else(nothing)?;
    if bound.port() != 0 && !own.contains(&bound.port()) {
        drop(socket(bound, false)?);
    }
    let mut sockets = Listening { bound, sockets: Vec::with_capacity(threads) };
    sockets.fill(threads)?;
    Ok(sockets)
}

impl Listening {
    /// Adds sockets until each thread has one.
    fn fill(&mut self, threads: usize) -> io::Result<()> {
        while self.sockets.len() < threads {
            let listener = socket(self.bound, true)?;
            self.bound = listener.local_addr()?;
            self.sockets.push(listener);
        }
        Ok(())
    }

    /// The same sockets once more, and more of them where there are more threads. There is never
    /// one less: who waits at a socket that nobody accepts from would be lost.
    pub(crate) fn again(&self, threads: usize) -> io::Result<Self> {
        let mut again = self.duplicate()?;
        again.fill(threads)?;
        Ok(again)
    }

    /// The same sockets once more.
    pub(crate) fn duplicate(&self) -> io::Result<Self> {
        let sockets = self.sockets.iter().map(std::net::TcpListener::try_clone);
        Ok(Self { bound: self.bound, sockets: sockets.collect::<io::Result<_>>()? })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_said_once_and_its_end_once() {
        let mut shortage = Shortage::default();
        assert!(!shortage.ends());
        assert_eq!([shortage.begins(), shortage.begins(), shortage.begins()], [true, false, false]);
        assert_eq!([shortage.ends(), shortage.ends(), shortage.begins()], [true, false, true]);
    }
}
