//! What a log in memory holds, and its rules, without anything that goes wrong.

use std::collections::BTreeMap;

use rollout::units::Timestamp;

use crate::anchor::{self, Anchoring};
use crate::chain::{GENESIS, Hash, Tail};
use crate::lease::{Held, Lease, LeaseError, LostLease};
use crate::log::{self, Append, AppendError, Appended, Entry, Failure, Record, Request};
use crate::outbox::{Delivery, DeliveryState, Outcome, SettleError};

#[derive(Debug)]
pub(super) struct Database {
    pub(super) records: Vec<Record>,
    /// For each rollout the indices of its events in `records`.
    pub(super) rollouts: BTreeMap<String, Vec<usize>>,
    pub(super) outbox: Vec<Delivery>,
    /// For each key the index of its delivery in `outbox`.
    pub(super) keys: BTreeMap<String, usize>,
    pub(super) notes: BTreeMap<String, String>,
    pub(super) epoch: u64,
    pub(super) held: Option<Held>,
    pub(super) anchor: Tail,
    pub(super) out: bool,
    pub(super) full: bool,
    /// The kind of event that is not taken.
    pub(super) refused: Option<String>,
    /// Whether a lease is asked for.
    pub(super) fenced: bool,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            rollouts: BTreeMap::new(),
            outbox: Vec::new(),
            keys: BTreeMap::new(),
            notes: BTreeMap::new(),
            epoch: 0,
            held: None,
            anchor: Tail::EMPTY,
            out: false,
            full: false,
            refused: None,
            fenced: true,
        }
    }
}

impl Database {
    pub(super) fn tail(&self) -> Tail {
        self.records.last().map_or(Tail::EMPTY, |it| it.end().tail)
    }

    pub(super) fn anchoring(&self) -> Anchoring {
        let there = match self.anchor.position.checked_sub(1) {
            None => Some(GENESIS),
            Some(index) => self.hash(index),
        };
        anchor::compare(Some(self.anchor), self.tail(), there)
    }

    fn hash(&self, index: u64) -> Option<Hash> {
        let index = usize::try_from(index).ok()?;
        self.records.get(index).map(|record| record.hash)
    }

    /// Whether `lease` may write.
    pub(super) fn check(&self, lease: &Lease) -> Result<(), LostLease> {
        if self.fenced { lease.check(self.epoch) } else { Ok(()) }
    }

    /// Starts a new epoch, unless another process than the one of epoch `own` holds the lease.
    pub(super) fn acquire(
        &mut self,
        own: Option<u64>,
        holder: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Held, LeaseError> {
        let other = self.held.clone().filter(|held| own != Some(held.epoch));
        if let Some(held) = other.filter(|held| held.until > now) {
            return Err(LeaseError::Held { held });
        }
        self.epoch = self.epoch.saturating_add(1);
        let held = Held { holder: holder.to_owned(), epoch: self.epoch, until };
        self.held = Some(held.clone());
        Ok(held)
    }

    pub(super) fn append(&mut self, request: &Request) -> Result<Appended, AppendError> {
        self.allow(request)?;
        let mut last = Appended { seq: request.append.expected, tail: self.tail() };
        for entry in &request.append.entries {
            let record = log::place(&last, request, entry);
            last = record.end();
            self.owe(&record, entry);
            let index = self.records.len();
            let places = self.rollouts.entry(record.rollout.clone());
            places.or_default().push(index);
            self.records.push(record);
        }
        Ok(last)
    }

    fn allow(&self, request: &Request) -> Result<(), AppendError> {
        let Append { rollout, expected, entries, .. } = &request.append;
        log::check(&request.append)?;
        self.check(&request.lease)?;
        let found = self.rollouts.get(rollout).map_or(0, Vec::len);
        let found = u64::try_from(found).unwrap_or(u64::MAX);
        if found != *expected {
            return Err(AppendError::Conflict {
                rollout: rollout.clone(),
                expected: *expected,
                found,
            });
        }
        if entries.iter().any(|entry| Some(&entry.kind) == self.refused.as_ref()) {
            return Err(Failure::Unavailable(format!("no room for {:?}", self.refused)).into());
        }
        let mut owed = entries.iter().flat_map(|entry| &entry.owed);
        match owed.find(|owed| self.keys.contains_key(&owed.key)) {
            Some(owed) => Err(AppendError::Invalid(log::owed_twice(&owed.key))),
            None => Ok(()),
        }
    }

    fn owe(&mut self, record: &Record, entry: &Entry) {
        for owed in &entry.owed {
            self.keys.insert(owed.key.clone(), self.outbox.len());
            let number = u64::try_from(self.outbox.len()).unwrap_or(u64::MAX).saturating_add(1);
            self.outbox.push(Delivery {
                number,
                key: owed.key.clone(),
                rollout: record.rollout.clone(),
                seq: record.seq,
                receiver: owed.receiver.clone(),
                body: owed.body.clone(),
                owed_at: record.at,
                attempts: 0,
                state: DeliveryState::Pending { next_at: record.at, reason: None },
            });
        }
    }

    pub(super) fn settle(
        &mut self,
        key: &str,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<(), SettleError> {
        let index = self.keys.get(key);
        let delivery = index.and_then(|index| self.outbox.get_mut(*index));
        let key = key.to_owned();
        let Some(delivery) = delivery else {
            return Err(SettleError::NotOwed { key });
        };
        let state = delivery.state.clone();
        if !matches!(state, DeliveryState::Pending { .. }) {
            return Err(SettleError::Settled { key, state });
        }
        delivery.attempts = delivery.attempts.saturating_add(1);
        delivery.state = outcome.state(now);
        Ok(())
    }

    pub(super) fn lose_tail(&mut self, events: usize) {
        let left = self.records.len().saturating_sub(events);
        self.records.truncate(left);
        for places in self.rollouts.values_mut() {
            places.retain(|place| *place < left);
        }
        self.rollouts.retain(|_, places| !places.is_empty());
    }
}
