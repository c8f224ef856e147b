//! Who may write: one holder at a time, and a number that says which.
//!
//! Every acquisition starts a new **epoch**, and every write checks the epoch in its own
//! transaction, so a controller that was paused and overtaken can no longer write anything,
//! whatever it believes.
//!
//! How a dead holder is noticed depends on the backend. SQLite serves one host: the holder keeps
//! an operating-system lock on `<database>.lock`, which the kernel drops with the process, so a
//! controller killed with `kill -9` starts again at once, no clock is asked, and a clock that
//! jumps takes the lease from nobody. (The price: a holder that hangs without dying keeps the
//! lease until someone ends it.) In memory the lease is free when it has run out or its
//! [`MemoryLog`](crate::memory::MemoryLog) was dropped.

use rollout::units::Timestamp;
use thiserror::Error;

use crate::log::Failure;

/// Proof of leadership. Only a [`Log`](crate::log::Log) makes one; whoever has none cannot append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    held: Held,
}

/// Who holds the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The holder's name.
    pub holder: String,
    /// Its epoch; from 1, never falls.
    pub epoch: u64,
    /// When the holder has promised to have renewed it.
    pub until: Timestamp,
}

impl Lease {
    pub(crate) fn new(held: Held) -> Self {
        Self { held }
    }

    /// The epoch; goes with every push to a receiver, which ignores an older one.
    pub fn epoch(&self) -> u64 {
        self.held.epoch
    }

    /// The holder's name.
    pub fn holder(&self) -> &str {
        &self.held.holder
    }

    /// When it has to be renewed.
    pub fn until(&self) -> Timestamp {
        self.held.until
    }

    /// Whether this lease is of the epoch the database is in.
    pub(crate) fn check(&self, found: u64) -> Result<(), LostLease> {
        let held = self.epoch();
        if held == found { Ok(()) } else { Err(LostLease { held, found }) }
    }
}

/// A newer epoch has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the lease of epoch {held} is lost, the log is in epoch {found}")]
pub struct LostLease {
    /// The epoch of the lease shown.
    pub held: u64,
    /// The epoch the log is in.
    pub found: u64,
}

/// Why a lease was not given or kept.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LeaseError {
    /// Another controller leads.
    #[error("{} holds the lease (epoch {})", held.holder, held.epoch)]
    Held {
        /// Who, and until when.
        held: Held,
    },
    /// Another controller took over since.
    #[error(transparent)]
    Lost(#[from] LostLease),
    /// The database failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}
