//! Another process of the same proxy takes over: a new binary, without a connection refused.
//!
//! The listening sockets themselves go over, so there is one queue of connections that wait to
//! be accepted, and no moment in which nobody accepts from it. The new process accepts as well
//! from its first snapshot on; then the old one stops ([`Proxy::hand_over`]), answers what is
//! under way, and ends. (Sockets of its own on the same address, `SO_REUSEPORT`, would lose
//! whoever waits in a queue that is closed.)

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use super::Proxy;
use super::observe::Observed;

/// The sockets that listen on one address.
#[derive(Debug)]
pub struct Listening {
    /// What they are bound to: the port the system chose where `:0` was asked for.
    pub bound: SocketAddr,
    /// One a thread of the proxy that opened them; all must be accepted from.
    pub sockets: Vec<TcpListener>,
}

/// Listening sockets of another process, by the address asked for.
#[derive(Debug, Default)]
pub struct Inheritance(pub BTreeMap<String, Listening>);

impl Proxy {
    /// The listening sockets once more, to be handed over to another process.
    ///
    /// # Errors
    /// When the system allows no more open files.
    pub fn listening(&self) -> io::Result<Inheritance> {
        self.shared.control().listening().map(Inheritance)
    }

    /// Takes over what another process knows of the health of upstreams, where nothing is known
    /// here yet: a canary keeps its share instead of waiting for the first check.
    pub fn assume(&self, other: &Observed) {
        let serving = self.shared.serving.load();
        for (name, slot) in &serving.slots {
            let state = slot.state.load();
            let known = other.services.get(name).into_iter().flat_map(|it| &it.upstreams);
            for seen in known {
                let tracks = state.tracks().filter(|track| *track.release == *seen.release);
                for upstream in tracks.flat_map(|track| &track.upstreams) {
                    if *upstream.address == *seen.address {
                        upstream.assume(seen.health);
                    }
                }
            }
        }
    }

    /// Ends because another process accepts from the sockets now. Connections that are open
    /// finish within their service's drain: one between two requests may send one more within
    /// half of it, and is closed with the answer. Snapshots are taken until then, and decide
    /// where these requests go; addresses that are new in them are left to the other process.
    pub async fn hand_over(&self) {
        let longest = self.shared.control().hand_over();
        Arc::clone(&self.shared).end_within(longest).await;
    }
}
