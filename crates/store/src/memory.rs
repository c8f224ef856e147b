//! The log in memory, for simulation: the same on every run, and it fails when told to.
//!
//! A [`MemoryLog`] is one process at the database; [`MemoryLog::connect`] is another. The database
//! outlives them: dropping a log is a crash of its process, which loses nothing acknowledged and
//! frees the lease. A process that is merely slow keeps its log, and loses the lease when it runs
//! out and another process asks for it.

mod database;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rollout::units::{Millis, Timestamp};

use self::database::Database;
use crate::anchor::Anchoring;
use crate::chain::Tail;
use crate::lease::{Held, Lease, LeaseError};
use crate::log::{AppendError, Appended, Failure, Log, Reader, Record, Request};
use crate::outbox::{Delivery, DeliveryState, Outcome, SettleError};

/// What goes wrong with the next write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written, and the writer is told so.
    Unavailable,
    /// Nothing is written, and the writer is not told whether it was.
    UnknownBefore,
    /// All is written, and the writer is not told whether it was.
    UnknownAfter,
}

/// One process at a log in memory.
#[derive(Debug)]
pub struct MemoryLog {
    database: Shared,
    /// The epoch this process acquired last.
    epoch: Option<u64>,
    faults: VecDeque<Fault>,
}

/// Reads a log in memory.
#[derive(Clone, Debug)]
pub struct MemoryReader {
    database: Shared,
}

#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Database>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Database> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The database, unless it is out.
    fn reach(&self) -> Result<MutexGuard<'_, Database>, Failure> {
        let database = self.lock();
        if database.out {
            return Err(Failure::Unavailable("the database is out".into()));
        }
        Ok(database)
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLog {
    /// A process at a new, empty database.
    pub fn new() -> Self {
        Self::at(Shared::default())
    }

    /// Another process at the same database.
    #[must_use]
    pub fn connect(&self) -> Self {
        Self::at(self.database.clone())
    }

    fn at(database: Shared) -> Self {
        Self { database, epoch: None, faults: VecDeque::new() }
    }

    /// Lets the next write of this process go wrong; called again, the one after it. Appends made
    /// together are one write.
    pub fn fail_next(&mut self, fault: Fault) {
        self.faults.push_back(fault);
    }

    /// Takes the database away from every process, or gives it back.
    pub fn set_out(&self, out: bool) {
        self.database.lock().out = out;
    }

    /// Lets nothing be written, as a full disk would, while all can be read.
    pub fn set_full(&self, full: bool) {
        self.database.lock().full = full;
    }

    /// Lets every append fail that holds an event of this kind; `None` lets all pass.
    pub fn refuse(&self, kind: Option<&str>) {
        self.database.lock().refused = kind.map(str::to_owned);
    }

    /// Lets the database ask who writes, as it does from the start, or not: for a simulation that
    /// must notice two writers.
    pub fn set_fenced(&self, fenced: bool) {
        self.database.lock().fenced = fenced;
    }

    /// Loses the last `events` events, as a damaged disk would; the anchor stays.
    pub fn lose_tail(&self, events: usize) {
        self.database.lock().lose_tail(events);
    }

    /// Runs `job` on the database, with the next fault if there is one.
    fn write<T, E: From<Failure>>(
        &mut self,
        job: impl FnOnce(&mut Database) -> Result<T, E>,
    ) -> Result<T, E> {
        let fault = self.faults.pop_front();
        let mut database = self.database.reach()?;
        if database.full {
            return Err(Failure::Unavailable("the disk is full".into()).into());
        }
        let unknown = || Failure::Unknown("the connection broke".into()).into();
        match fault {
            None => job(&mut database),
            Some(Fault::Unavailable) => Err(Failure::Unavailable("no connection".into()).into()),
            Some(Fault::UnknownBefore) => Err(unknown()),
            Some(Fault::UnknownAfter) => job(&mut database).and_then(|_| Err(unknown())),
        }
    }
}

impl Drop for MemoryLog {
    fn drop(&mut self) {
        let mut database = self.database.lock();
        if self.epoch == Some(database.epoch) {
            database.held = None;
        }
    }
}

impl Log for MemoryLog {
    fn acquire(&mut self, holder: &str, ttl: Millis, now: Timestamp) -> Result<Lease, LeaseError> {
        let own = self.epoch;
        let held = self.write(|database| database.acquire(own, holder, now.plus(ttl), now))?;
        self.epoch = Some(held.epoch);
        Ok(Lease::new(held))
    }

    fn renew(&mut self, lease: &Lease, ttl: Millis, now: Timestamp) -> Result<Lease, LeaseError> {
        self.write(|database| {
            database.check(lease)?;
            let held = Held {
                holder: lease.holder().to_owned(),
                epoch: lease.epoch(),
                until: now.plus(ttl),
            };
            database.held = Some(held.clone());
            Ok(Lease::new(held))
        })
    }

    fn release(&mut self, lease: &Lease) -> Result<(), LeaseError> {
        self.write(|database| {
            database.check(lease)?;
            database.epoch = database.epoch.saturating_add(1);
            database.held = None;
            Ok(())
        })
    }

    fn append_all(&mut self, requests: &[Request]) -> Vec<Result<Appended, AppendError>> {
        let answers = self.write(|database| {
            let answers = requests.iter().map(|request| database.append(request));
            Ok::<_, AppendError>(answers.collect())
        });
        answers.unwrap_or_else(|error| requests.iter().map(|_| Err(error.clone())).collect())
    }

    fn settle(
        &mut self,
        lease: &Lease,
        key: &str,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<(), SettleError> {
        self.write(|database| {
            database.check(lease)?;
            database.settle(key, outcome, now)
        })
    }

    fn put(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        self.write(|database| {
            database.notes.insert(key.to_owned(), value.to_owned());
            Ok(())
        })
    }

    fn delete(&mut self, key: &str) -> Result<(), Failure> {
        self.write(|database| {
            database.notes.remove(key);
            Ok(())
        })
    }

    fn anchor(&mut self) -> Result<Anchoring, Failure> {
        self.write(|database| {
            let found = database.anchoring();
            if found == Anchoring::Whole {
                database.anchor = database.tail();
            }
            Ok(found)
        })
    }

    fn accept(&mut self, lease: &Lease) -> Result<Tail, LeaseError> {
        self.write(|database| {
            database.check(lease)?;
            database.anchor = database.tail();
            Ok(database.anchor)
        })
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(MemoryReader { database: self.database.clone() })
    }
}

impl Reader for MemoryReader {
    fn events(&self, rollout: &str, after: u64) -> Result<Vec<Record>, Failure> {
        let database = self.database.reach()?;
        let places = database.rollouts.get(rollout).into_iter().flatten();
        let skipped = places.skip(usize::try_from(after).unwrap_or(usize::MAX));
        Ok(skipped.filter_map(|place| database.records.get(*place)).cloned().collect())
    }

    fn all(&self, after: u64, limit: u32) -> Result<Vec<Record>, Failure> {
        let database = self.database.reach()?;
        let skipped = usize::try_from(after).unwrap_or(usize::MAX);
        let taken = usize::try_from(limit).unwrap_or(usize::MAX);
        let records = database.records.iter().skip(skipped).take(taken);
        Ok(records.cloned().collect())
    }

    fn rollouts(&self) -> Result<Vec<String>, Failure> {
        Ok(self.database.reach()?.rollouts.keys().cloned().collect())
    }

    fn tail(&self) -> Result<Tail, Failure> {
        Ok(self.database.reach()?.tail())
    }

    fn anchoring(&self) -> Result<Anchoring, Failure> {
        Ok(self.database.reach()?.anchoring())
    }

    fn held(&self) -> Result<Option<Held>, Failure> {
        Ok(self.database.reach()?.held.clone())
    }

    fn pending(&self, after: u64, limit: u32) -> Result<Vec<Delivery>, Failure> {
        let database = self.database.reach()?;
        let owed = database.outbox.iter().filter(|it| it.number > after);
        let pending = owed.filter(|it| matches!(it.state, DeliveryState::Pending { .. }));
        Ok(pending.take(usize::try_from(limit).unwrap_or(usize::MAX)).cloned().collect())
    }

    fn deliveries(&self, rollout: &str) -> Result<Vec<Delivery>, Failure> {
        let database = self.database.reach()?;
        let owed = database.outbox.iter();
        Ok(owed.filter(|it| it.rollout == rollout).cloned().collect())
    }

    fn note(&self, key: &str) -> Result<Option<String>, Failure> {
        Ok(self.database.reach()?.notes.get(key).cloned())
    }

    fn notes(&self, prefix: &str) -> Result<Vec<(String, String)>, Failure> {
        let database = self.database.reach()?;
        let notes = database.notes.iter();
        Ok(notes
            .filter(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }
}
