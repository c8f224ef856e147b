//! Ports for programs that listen a moment later.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports the system gives to outgoing connections: a load opens thousands of those,
/// and one could take a port between being found free here and being listened on.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// An address of the loopback interface that nobody listened on a moment ago, and that no
/// other test of this run is given.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() * 97 % u32::from(COUNT)).unwrap();
    let mut tried = (0..COUNT).map(|_| {
        let offset = (start + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
        SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + offset))
    });
    tried.find(|address| TcpListener::bind(address).is_ok()).expect("a port is free")
}
