//! An address that serves a release.

use rollout::route::Protocol;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use super::balance::Standing;

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
    /// What it speaks.
    pub protocol: Protocol,
    health: AtomicU8,
    /// It left the snapshot: its connections are not kept.
    left: AtomicBool,
    /// Its drain is over: what breaks now is our doing.
    cut: AtomicBool,
    /// What is seen of it while it serves.
    pub standing: Standing,
}

impl Upstream {
    /// Of unknown health.
    pub(crate) fn new(address: &str, protocol: Protocol) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            address: Arc::from(address),
            protocol,
            health: AtomicU8::new(0),
            left: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            standing: Standing::new(),
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
        let before = self.health.swap(code, Ordering::Relaxed);
        if health == Health::Healthy && before != code {
            self.standing.well();
        }
    }

    /// Takes over what somebody else's checks say, unless its own have said something.
    pub(crate) fn assume(&self, health: Health) {
        if self.health() == Health::Unknown {
            self.set_health(health);
        }
    }

    /// Marks it as gone from the snapshot.
    pub(crate) fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    /// Marks its drain as over.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    /// Whether it left the snapshot.
    pub(crate) fn has_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    /// Whether its drain is over.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}
