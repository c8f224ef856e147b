//! An address that serves a release, and a thread's connections to it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::body::Upload;
use super::settings::IDLE_CONNECTIONS;

/// What an upstream's health checks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Not enough answers yet.
    Unknown,
    /// It answers well.
    Healthy,
    /// It does not.
    Unhealthy,
}

/// One address of one release.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Unique in this process; never used again.
    pub id: u64,
    /// `host:port`.
    pub address: Arc<str>,
    health: AtomicU8,
    /// It left the snapshot: its connections are not kept.
    left: AtomicBool,
    /// Its drain is over: what breaks now is our doing.
    cut: AtomicBool,
}

impl Upstream {
    /// Of unknown health.
    pub(crate) fn new(address: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            address: Arc::from(address),
            health: AtomicU8::new(0),
            left: AtomicBool::new(false),
            cut: AtomicBool::new(false),
        }
    }

    /// What its checks say.
    pub(crate) fn health(&self) -> Health {
        match self.health.load(Ordering::Relaxed) {
            0 => Health::Unknown,
            1 => Health::Healthy,
            _ => Health::Unhealthy,
        }
    }

    /// Sets what its checks say.
    pub(crate) fn set_health(&self, health: Health) {
        let code = match health {
            Health::Unknown => 0,
            Health::Healthy => 1,
            Health::Unhealthy => 2,
        };
        self.health.store(code, Ordering::Relaxed);
    }

    /// Marks it as gone from the snapshot.
    pub(crate) fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    /// Marks its drain as over.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    /// Whether its drain is over.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}

/// A connection's end that takes requests.
pub(crate) type Sender = SendRequest<Upload>;

/// One thread's connections, by upstream.
#[derive(Debug, Default)]
pub(crate) struct Pools(RefCell<BTreeMap<u64, Pool>>);

#[derive(Debug, Default)]
struct Pool {
    /// With the time until which each is kept. The one used last is at the end and is used
    /// next, so that the others grow old.
    idle: Vec<(Sender, Instant)>,
    /// The tasks that drive connections and tunnels, so that they can be ended.
    live: Vec<AbortHandle>,
}

impl Pools {
    /// An idle connection that can take a request now.
    pub(crate) fn take(&self, upstream: &Upstream) -> Option<Sender> {
        let mut pools = self.0.borrow_mut();
        let idle = &mut pools.get_mut(&upstream.id)?.idle;
        while idle.last().is_some_and(|(sender, _)| sender.is_closed()) {
            idle.pop();
        }
        let ready = idle.iter().rposition(|(sender, _)| sender.is_ready())?;
        Some(idle.remove(ready).0)
    }

    /// Keeps a connection whose answer is complete for `idle` at most.
    pub(crate) fn give(&self, upstream: &Upstream, sender: Sender, idle: Duration) {
        if upstream.left.load(Ordering::Relaxed) || sender.is_closed() {
            return;
        }
        let Some(until) = Instant::now().checked_add(idle) else {
            return;
        };
        let mut pools = self.0.borrow_mut();
        let kept = &mut pools.entry(upstream.id).or_default().idle;
        if kept.len() < IDLE_CONNECTIONS {
            kept.push((sender, until));
        }
    }

    /// Remembers a task that serves this upstream.
    pub(crate) fn live(&self, upstream: &Upstream, task: AbortHandle) {
        self.0.borrow_mut().entry(upstream.id).or_default().live.push(task);
    }

    /// Closes the idle connections.
    pub(crate) fn forget_idle(&self, upstream: &Upstream) {
        let idle =
            self.0.borrow_mut().get_mut(&upstream.id).map(|pool| std::mem::take(&mut pool.idle));
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
            !(pool.idle.is_empty() && pool.live.is_empty())
        });
    }
}
