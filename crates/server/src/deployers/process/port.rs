//! Free loopback ports, never the same one for two releases.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many ports the system may offer that another release of ours already has.
const OFFERS: usize = 100;

/// The ports given to releases.
#[derive(Debug, Default)]
pub(super) struct Ports(Mutex<BTreeSet<u16>>);

impl Ports {
    /// Keeps `port` from being given out: a process of ours has it.
    pub(super) fn reserve(&self, port: u16) {
        self.held().insert(port);
    }

    /// A port nobody listens on: `preferred` when it is still free, else one the system offers.
    ///
    /// # Errors
    /// When the system has none to offer.
    pub(super) fn take(&self, preferred: Option<u16>) -> io::Result<u16> {
        let mut held = self.held();
        if let Some(port) = preferred
            && !held.contains(&port)
            && offer(port).is_ok()
        {
            held.insert(port);
            return Ok(port);
        }
        for _ in 0..OFFERS {
            let port = offer(0)?;
            if held.insert(port) {
                return Ok(port);
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "no free port on 127.0.0.1"))
    }

    /// Gives `port` back.
    pub(super) fn give(&self, port: u16) {
        self.held().remove(&port);
    }

    fn held(&self) -> MutexGuard<'_, BTreeSet<u16>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `port` can be listened on (0: any), and which one it was.
fn offer(port: u16) -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_port_is_given_again_while_it_is_free() {
        let ports = Ports::default();
        let first = ports.take(None).unwrap();
        assert_ne!(ports.take(Some(first)).unwrap(), first, "another release has it");
        ports.give(first);
        assert_eq!(ports.take(Some(first)).unwrap(), first);
    }

    #[test]
    fn a_port_somebody_listens_on_is_not_given() {
        let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = stranger.local_addr().unwrap().port();
        assert_ne!(Ports::default().take(Some(port)).unwrap(), port);
    }
}
