//! Deliveries: messages and hooks an event owes, stored with the event that owes them.
//!
//! A delivery is pending until an attempt succeeds (done) or nobody will try again (dead). It is
//! made at least once: when the process dies between the attempt and [`settle`], it is made again
//! under the same key, and the receiver tells the repetition by the key.
//!
//! [`settle`]: crate::log::Log::settle

use rollout::units::Timestamp;
use thiserror::Error;

use crate::lease::LostLease;
use crate::log::Failure;

/// A delivery to be stored with the event that owes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// The idempotency key, `rollout:seq:n`; unique in the whole log.
    pub key: String,
    /// Who is to receive it.
    pub receiver: String,
    /// What to send; the store does not look into it.
    pub body: String,
}

/// A delivery as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its place among all deliveries, in the order they were owed; from 1.
    pub number: u64,
    /// The idempotency key.
    pub key: String,
    /// The rollout whose event owes it.
    pub rollout: String,
    /// `seq` of that event.
    pub seq: u64,
    /// Who is to receive it.
    pub receiver: String,
    /// What to send.
    pub body: String,
    /// When it was owed.
    pub owed_at: Timestamp,
    /// How many attempts have come to an outcome.
    pub attempts: u32,
    /// How it stands.
    pub state: DeliveryState,
}

/// How a delivery stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// To be attempted.
    Pending {
        /// When the next attempt was meant to be when the last one failed: for people. Whoever
        /// delivers measures waits by a clock that is never set back.
        next_at: Timestamp,
        /// Why the last attempt failed; `None` before the first.
        reason: Option<String>,
    },
    /// Received.
    Done {
        /// When.
        at: Timestamp,
    },
    /// Given up.
    Dead {
        /// When.
        at: Timestamp,
        /// Why the last attempt failed.
        reason: String,
    },
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Done,
    /// It failed and is to be tried again.
    Retry {
        /// When that is meant to be.
        next_at: Timestamp,
        /// Why it failed.
        reason: String,
    },
    /// It failed and is not to be tried again.
    Dead {
        /// Why it failed.
        reason: String,
    },
}

impl Outcome {
    /// How a delivery stands after an attempt with this outcome at `now`.
    pub(crate) fn state(&self, now: Timestamp) -> DeliveryState {
        match self {
            Self::Done => DeliveryState::Done { at: now },
            Self::Retry { next_at, reason } => {
                DeliveryState::Pending { next_at: *next_at, reason: Some(reason.clone()) }
            }
            Self::Dead { reason } => DeliveryState::Dead { at: now, reason: reason.clone() },
        }
    }
}

/// Why an outcome was not recorded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettleError {
    /// No event owes it.
    #[error("no delivery has the key {key}")]
    NotOwed {
        /// The key asked for.
        key: String,
    },
    /// It is done or dead already; that outcome stays.
    #[error("the delivery {key} is settled already")]
    Settled {
        /// The key asked for.
        key: String,
        /// How it stands.
        state: DeliveryState,
    },
    /// Someone else leads now.
    #[error(transparent)]
    LostLease(#[from] LostLease),
    /// The database failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}
