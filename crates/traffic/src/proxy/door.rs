//! A listen address: who is behind it, who is inside, and how they are told to go.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::behind::Behind;

/// A listen address and who is behind it.
#[derive(Debug)]
pub(crate) struct Door {
    /// What it really listens on: the port the system chose where `:0` was asked for.
    pub bound: SocketAddr,
    pub behind: ArcSwap<Behind>,
    /// Requests that no service behind it is for.
    pub unrouted: AtomicU64,
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
    /// Until when one that is between two requests may still begin another.
    idle_until: Instant,
    /// When what is left of them is cut.
    cut_at: Instant,
}

impl Door {
    /// Open, with these services behind it.
    pub(crate) fn new(bound: SocketAddr, behind: Arc<Behind>) -> Self {
        let now = Instant::now();
        let turn = Turn { count: 0, closed: false, idle_until: now, cut_at: now };
        let turn = watch::Sender::new(turn);
        let (unrouted, open) = (AtomicU64::new(0), AtomicUsize::new(0));
        Self { bound, behind: ArcSwap::new(behind), unrouted, turn, open }
    }

    /// From now on these services are behind it. Connections that are open ask them, too; they
    /// are let go where others are behind it now who take connections in otherwise.
    pub(crate) fn arrange(&self, behind: Arc<Behind>) {
        let (drain, before) = (behind.drain(), self.behind.load_full());
        let stays = before.shares_with(&behind) || before.entrance.is_like(&behind.entrance);
        self.behind.store(behind);
        if !stays {
            self.turn(false, drain);
        }
    }

    /// Accepts no more, and lets everybody go.
    pub(crate) fn close(&self) {
        self.turn(true, self.behind.load().drain());
    }

    /// Lets the connections go that are open now; `closed` accepts no more.
    fn turn(&self, closed: bool, drain: Duration) {
        self.turn_with(closed, Duration::ZERO, drain);
    }

    /// Closes it because another process has taken over its sockets. A client does not know:
    /// what it sends on a kept connection meanwhile is answered, once more, and the connection
    /// ends with that answer instead of under the request. Half of the drain is left for it.
    pub(crate) fn hand_over(&self) {
        let drain = self.behind.load().drain();
        let linger = drain.checked_div(2).unwrap_or_default();
        self.turn_with(true, linger, drain);
    }

    fn turn_with(&self, closed: bool, linger: Duration, drain: Duration) {
        self.turn.send_modify(|turn| {
            turn.count = turn.count.wrapping_add(1);
            // One that is closed does not open again, whoever is behind it.
            turn.closed |= closed;
            let now = Instant::now();
            turn.idle_until = now.checked_add(linger).unwrap_or(now);
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

    /// Waits until it is closed.
    pub(crate) async fn closed(&self) {
        let mut turns = self.turn.subscribe();
        // An error would mean that the door is gone, and it is here.
        drop(turns.wait_for(|turn| turn.closed).await);
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

    /// Until when a connection from before the change that is between two requests may still
    /// begin another.
    pub(crate) fn idle_until(&self) -> Instant {
        self.0.borrow().idle_until
    }
}

/// Waits until what was open before a change of the door is to be cut.
pub(crate) async fn closing(mut turns: Turns) {
    let cut_at = turns.next().await;
    sleep_until(cut_at).await;
}

/// The doors of a proxy, by the address asked for.
pub(crate) type Doors = BTreeMap<String, Arc<Door>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_door_that_is_closed_tells_also_those_who_come_in_afterwards() {
        let door = Door::new("127.0.0.1:80".parse().unwrap(), Arc::default());
        door.turn(false, Duration::ZERO);
        assert!(!door.turns().has_next(), "whom a change is not news to");
        door.turn(true, Duration::from_hours(1));
        let mut turns = door.turns();
        assert!(turns.has_next());
        assert!(turns.next().await > Instant::now());
        assert!(!turns.has_next(), "told once");
    }
}
