//! The contract every database keeps.
//!
//! [`Log`] writes and [`Reader`] reads. Both are synchronous and take the time as an argument, so
//! that a simulator can drive them in virtual time; [`Store`](crate::Store) puts a log on a thread
//! of its own for callers that must not block.
//!
//! What every backend promises:
//! - an append is all or nothing: its events and the deliveries they owe, or none of them;
//! - no two appends take the same place in a rollout, and positions have no gaps;
//! - only the holder of the newest lease writes;
//! - what was acknowledged is there after a crash.

use rollout::units::{Millis, Timestamp};
use thiserror::Error;

use crate::anchor::Anchoring;
use crate::chain::{GENESIS, Hash, Tail, link};
use crate::lease::{Held, Lease, LeaseError, LostLease};
use crate::outbox::{Delivery, Outcome, Owed, SettleError};

/// One event to append. The store does not look into it: the bytes given are the bytes kept and
/// hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What kind of event it is; one word, not empty.
    pub kind: String,
    /// The event as JSON text.
    pub body: String,
    /// The deliveries this event owes, stored in the same transaction.
    pub owed: Vec<Owed>,
}

/// One event as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Place in the whole log, from 1, without gaps.
    pub position: u64,
    /// The rollout the event belongs to.
    pub rollout: String,
    /// Place within the rollout, from 1, without gaps.
    pub seq: u64,
    /// The epoch of the lease it was written under.
    pub epoch: u64,
    /// When the writer says it happened.
    pub at: Timestamp,
    /// What kind of event it is.
    pub kind: String,
    /// The event as JSON text, byte for byte as given.
    pub body: String,
    /// The link of the hash chain: see [`chain`](crate::chain).
    pub hash: Hash,
}

impl Record {
    /// Where an append ends whose last event this is.
    pub(crate) fn end(&self) -> Appended {
        Appended { seq: self.seq, tail: Tail { position: self.position, hash: self.hash } }
    }
}

/// Events for one rollout, appended together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The rollout; not empty.
    pub rollout: String,
    /// `seq` of the last event of the rollout the writer has seen; 0 for a new rollout.
    pub expected: u64,
    /// When it happened.
    pub at: Timestamp,
    /// The events in order; at least one.
    pub entries: Vec<Entry>,
}

/// One append with the authority to make it, for [`Log::append_all`].
#[derive(Clone, Debug)]
pub struct Request {
    /// The authority.
    pub lease: Lease,
    /// What to append.
    pub append: Append,
}

/// Where an append ended up: the place of its last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// `seq` of the last event: what the next append of this rollout expects.
    pub seq: u64,
    /// Position and hash of the last event in the whole log.
    pub tail: Tail,
}

/// The database could not be asked, or did not say.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// Nothing was written.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// It may have been written: read back before doing anything else.
    #[error("the store did not say whether the write happened: {0}")]
    Unknown(String),
}

/// Why an append was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AppendError {
    /// Another event took the place: read the rollout again and decide again.
    #[error("rollout {rollout} is at event {found}, expected {expected}")]
    Conflict {
        /// The rollout.
        rollout: String,
        /// The last event the writer had seen.
        expected: u64,
        /// The last event there is.
        found: u64,
    },
    /// The append itself is malformed.
    #[error("cannot append: {0}")]
    Invalid(String),
    /// Someone else leads now.
    #[error(transparent)]
    LostLease(#[from] LostLease),
    /// The database failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Reads. Every call sees all that was acknowledged before it.
pub trait Reader: Send + Sync {
    /// The events of one rollout whose `seq` is above `after`, in order.
    ///
    /// # Errors
    /// When the database cannot be read.
    fn events(&self, rollout: &str, after: u64) -> Result<Vec<Record>, Failure>;

    /// At most `limit` events of the whole log whose position is above `after`, in order.
    ///
    /// # Errors
    /// When the database cannot be read.
    fn all(&self, after: u64, limit: u32) -> Result<Vec<Record>, Failure>;

    /// Every rollout that has an event, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    fn rollouts(&self) -> Result<Vec<String>, Failure>;

    /// The end of the log.
    ///
    /// # Errors
    /// When the database cannot be read.
    fn tail(&self) -> Result<Tail, Failure>;

    /// Whether the log still holds what its anchor says it held.
    ///
    /// # Errors
    /// When the database cannot be read.
    fn anchoring(&self) -> Result<Anchoring, Failure>;

    /// Who holds the lease, as last written; the holder may have died since.
    ///
    /// # Errors
    /// When the database cannot be read.
    fn held(&self) -> Result<Option<Held>, Failure>;

    /// At most `limit` pending deliveries whose number is above `after`, in the order they were
    /// owed. When to attempt them is not asked here: the time of day may be set back.
    ///
    /// # Errors
    /// When the database cannot be read.
    fn pending(&self, after: u64, limit: u32) -> Result<Vec<Delivery>, Failure>;

    /// Every delivery of one rollout, settled or not, in the order they were owed.
    ///
    /// # Errors
    /// When the database cannot be read.
    fn deliveries(&self, rollout: &str) -> Result<Vec<Delivery>, Failure>;

    /// The note under `key`.
    ///
    /// # Errors
    /// When the database cannot be read.
    fn note(&self, key: &str) -> Result<Option<String>, Failure>;

    /// Every note whose key starts with `prefix`, as (key, value), by key.
    ///
    /// # Errors
    /// When the database cannot be read.
    fn notes(&self, prefix: &str) -> Result<Vec<(String, String)>, Failure>;
}

/// Writes. One value per process; it is the only way to get a [`Lease`].
pub trait Log: Send {
    /// Takes the lease for `holder` until `now + ttl` and starts a new epoch.
    ///
    /// # Errors
    /// [`LeaseError::Held`] while another holder lives; the database may also fail.
    fn acquire(&mut self, holder: &str, ttl: Millis, now: Timestamp) -> Result<Lease, LeaseError>;

    /// Holds the lease until `now + ttl`, in the same epoch.
    ///
    /// # Errors
    /// [`LeaseError::Lost`] when a newer epoch has begun; the database may also fail.
    fn renew(&mut self, lease: &Lease, ttl: Millis, now: Timestamp) -> Result<Lease, LeaseError>;

    /// Gives the lease back, so that another may take it at once; every copy of it is void.
    ///
    /// # Errors
    /// [`LeaseError::Lost`] when a newer epoch has begun; the database may also fail.
    fn release(&mut self, lease: &Lease) -> Result<(), LeaseError>;

    /// Appends every request that can be appended, in order and with one commit; answers in the
    /// same order. A request refused leaves the others alone.
    fn append_all(&mut self, requests: &[Request]) -> Vec<Result<Appended, AppendError>>;

    /// Appends one request.
    ///
    /// # Errors
    /// See [`AppendError`].
    fn append(&mut self, lease: &Lease, append: Append) -> Result<Appended, AppendError> {
        let request = Request { lease: lease.clone(), append };
        let answer = self.append_all(std::slice::from_ref(&request)).pop();
        answer.unwrap_or_else(|| Err(Failure::Unknown("no answer".into()).into()))
    }

    /// Records what came of one attempt at the delivery `key`, and counts the attempt.
    ///
    /// # Errors
    /// When the delivery is unknown or settled already, the lease is lost, or the database fails.
    fn settle(
        &mut self,
        lease: &Lease,
        key: &str,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<(), SettleError>;

    /// Keeps `value` under `key`, replacing what was there. Notes are facts about this host (a
    /// process it started), not decisions: they need no lease and are not in the chain.
    ///
    /// # Errors
    /// When the database fails.
    fn put(&mut self, key: &str, value: &str) -> Result<(), Failure>;

    /// Forgets the note under `key`; no error when there is none.
    ///
    /// # Errors
    /// When the database fails.
    fn delete(&mut self, key: &str) -> Result<(), Failure>;

    /// Writes the end of the log down outside the database, unless the anchor there disagrees
    /// with the log: that evidence is never overwritten. Answers what was found before.
    ///
    /// # Errors
    /// When the database or the anchor cannot be read or written.
    fn anchor(&mut self) -> Result<Anchoring, Failure>;

    /// Writes the end of the log down whatever the anchor said before, or when there was none: for
    /// an operator who has looked at a damaged log and accepts what is left.
    ///
    /// # Errors
    /// When the lease is lost, or the database or the anchor cannot be read or written.
    fn accept(&mut self, lease: &Lease) -> Result<Tail, LeaseError>;

    /// A reader of the same log.
    fn reader(&self) -> Box<dyn Reader>;
}

/// What no backend accepts, checked before anything is written.
pub(crate) fn check(append: &Append) -> Result<(), AppendError> {
    let invalid = |what: &str| Err(AppendError::Invalid(what.to_owned()));
    if append.rollout.is_empty() {
        return invalid("the rollout has no name");
    }
    if append.entries.is_empty() {
        return invalid("no events were given");
    }
    if append.entries.iter().any(|entry| entry.kind.is_empty()) {
        return invalid("an event has no kind");
    }
    let owed = append.entries.iter().flat_map(|entry| &entry.owed);
    let mut keys: Vec<&str> = owed.map(|owed| owed.key.as_str()).collect();
    keys.sort_unstable();
    if let Some([key, _]) = keys.array_windows().find(|[left, right]| left == right) {
        return Err(AppendError::Invalid(owed_twice(key)));
    }
    Ok(())
}

/// The refusal of a delivery whose key is taken.
pub(crate) fn owed_twice(key: &str) -> String {
    format!("the delivery {key} is owed already")
}

/// The record `entry` becomes after `last`.
pub(crate) fn place(last: &Appended, request: &Request, entry: &Entry) -> Record {
    let mut record = Record {
        position: last.tail.position.saturating_add(1),
        rollout: request.append.rollout.clone(),
        seq: last.seq.saturating_add(1),
        epoch: request.lease.epoch(),
        at: request.append.at,
        kind: entry.kind.clone(),
        body: entry.body.clone(),
        hash: GENESIS,
    };
    record.hash = link(last.tail.hash, &record);
    record
}
