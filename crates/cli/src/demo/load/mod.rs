//! Users: requests on a fixed schedule, whatever becomes of the answers.
//!
//! An open loop. Request number n is due at `start + n / rate`, and it is sent then, answered
//! or not were the ones before it; its latency counts from when it was due. A generator that
//! waits for answers would go easy on a version just when it is slow.
//!
//! It runs on a thread of its own, so that what it measures is not what else the process does.

mod book;
mod connections;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use self::book::{Answer, Book};
pub(super) use self::book::{Figures, Version};
use self::connections::Connections;

/// How long a user waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections at most; users beyond that wait for one, and their wait counts.
const MOST_CONNECTIONS: usize = 256;

/// What is asked of the load.
#[derive(Clone, Debug)]
pub(crate) struct LoadSettings {
    /// Where requests go, `host:port`.
    pub(crate) target: String,
    /// Requests a second; at least 1.
    pub(crate) rate: u32,
    /// Distinct users, each with a cookie `user_id`; at least 1.
    pub(crate) users: u32,
}

/// A running load; it ends when this is dropped.
pub(crate) struct Load {
    book: Arc<Mutex<Book>>,
    stop: watch::Sender<bool>,
    ended: oneshot::Receiver<()>,
}

impl Load {
    /// Sends the first request now.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn start(settings: LoadSettings) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let book = Arc::new(Mutex::new(Book::new(settings.users)));
        let (stop, stopping) = watch::channel(false);
        let (finished, ended) = oneshot::channel();
        let users = Arc::new(Users {
            connections: Connections::to(settings.target),
            slots: Semaphore::new(MOST_CONNECTIONS),
            book: book.clone(),
        });
        thread::Builder::new().name("load".to_owned()).spawn(move || {
            runtime.block_on(arrive(users, settings.rate, settings.users, stopping));
            // Nobody waits where the load was dropped.
            let _ = finished.send(());
        })?;
        Ok(Self { book, stop, ended })
    }

    /// What has become of the requests so far.
    pub(crate) fn figures(&self) -> Figures {
        locked(&self.book).figures()
    }

    /// Sends no more requests, waits for the answers under way, and gives the last figures.
    pub(crate) async fn stop(self) -> Figures {
        self.stop.send_replace(true);
        // An error means that the thread is gone, which is what is waited for.
        let _ = self.ended.await;
        locked(&self.book).figures()
    }
}

/// What all requests share.
struct Users {
    connections: Connections,
    slots: Semaphore,
    book: Arc<Mutex<Book>>,
}

/// Sends each request when it is due, until told to stop; then waits for the last answers.
async fn arrive(users: Arc<Users>, rate: u32, count: u32, mut stopping: watch::Receiver<bool>) {
    let start = Instant::now();
    let mut under_way = JoinSet::new();
    let mut nth: u64 = 0;
    loop {
        let due = start + due_after(nth, rate);
        tokio::select! {
            biased;
            // An error means that the load was dropped.
            _ = stopping.wait_for(|stop| *stop) => break,
            () = sleep_until(due.into()) => {}
        }
        under_way.spawn(visit(users.clone(), user(nth, count), due));
        while under_way.try_join_next().is_some() {}
        nth += 1;
    }
    while under_way.join_next().await.is_some() {}
}

/// When request `nth` is due, from the start.
fn due_after(nth: u64, rate: u32) -> Duration {
    let rate = u64::from(rate.max(1));
    let nanos = (nth % rate) * 1_000_000_000 / rate;
    Duration::from_secs(nth / rate) + Duration::from_nanos(nanos)
}

/// Who sends request `nth`: the same sequence in each run, evenly spread. The mixing is that
/// of `SplitMix64` (Steele, Lea and Flood, 2014).
fn user(nth: u64, count: u32) -> u32 {
    let mut mixed = nth.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    u32::try_from(mixed % u64::from(count.max(1))).unwrap_or_default()
}

/// One request of one user.
async fn visit(users: Arc<Users>, user: u32, due: Instant) {
    // The semaphore is never closed.
    let _slot = users.slots.acquire().await;
    let sent = Instant::now();
    let answered = match timeout(PATIENCE, users.connections.get(user)).await {
        Ok(answered) => answered,
        Err(_) => Err(format!("no answer within {PATIENCE:?}")),
    };
    let came = Instant::now();
    locked(&users.book).write(Answer { user, due, sent, came, answered });
}

/// Nothing in here panics while it holds the lock.
fn locked(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_evenly_and_never_drift() {
        assert_eq!(due_after(0, 700), Duration::ZERO);
        assert_eq!(due_after(700 * 3_600, 700), Duration::from_hours(1));
        let gap = due_after(351, 700).abs_diff(due_after(350, 700));
        assert!(gap.abs_diff(Duration::from_secs(1) / 700) < Duration::from_micros(1), "{gap:?}");
    }

    #[test]
    fn users_come_in_an_order_of_their_own_and_all_of_them_come() {
        let mut seen = vec![0_u32; 100];
        for nth in 0..10_000 {
            seen[user(nth, 100) as usize] += 1;
        }
        assert!(seen.iter().all(|times| (50..=200).contains(times)), "{seen:?}");
        assert!((0..99).any(|nth| user(nth + 1, 100) < user(nth, 100)));
    }
}
