//! The log in one SQLite file, for one host.
//!
//! Durable by WAL and `synchronous=FULL`: a commit has reached the disk when it returns. Beside the
//! database lie `-wal` and `-shm` (SQLite's own), `.lock` (see [`lease`](crate::lease)) and
//! `.anchor` (see [`anchor`]).
//!
//! A commit that fails may still have happened: an error at `fsync` leaves the transaction in the
//! write-ahead log, where the next opening finds it. So after a failed commit every connection is
//! closed and the database is opened again as after a crash. For an append its write-ahead log is
//! moved into the database at once, and what is there then is the answer. Any other write answers
//! that nobody knows: each can be done again.

mod open;
mod read;
mod write;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use rollout::units::{Millis, Timestamp};
use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use open::OpenError;
pub use read::SqliteReader;

use crate::anchor::{self, AnchorFile, Anchoring};
use crate::chain::Tail;
use crate::lease::{Held, Lease, LeaseError};
use crate::log::{AppendError, Appended, Failure, Log, Reader, Request};
use crate::outbox::{Outcome, SettleError};

/// Writes after which the write-ahead log is moved into the database. An event committed alone
/// writes about four pages of 4 KiB, anything else fewer, so it stays below some 16 MiB.
const CHECKPOINT_WRITES: usize = 1_000;

/// A log in a SQLite file.
#[derive(Debug)]
pub struct SqliteLog {
    path: PathBuf,
    /// `None` after a failed commit, until the next use opens it again.
    writer: Option<Connection>,
    reader: SqliteReader,
    anchor: AnchorFile,
    /// Locked while this process holds the lease.
    lock: Option<File>,
    /// Events and other writes since the last checkpoint.
    unmoved: usize,
}

impl SqliteLog {
    /// Opens the log at `path`, creating it when there is none.
    ///
    /// A log that has lost events opens: the way back must work from it. Ask
    /// [`Reader::anchoring`] before going forward.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let writer = open::writing(path)?;
        let path = open::resolve(path)?;
        let reader = SqliteReader::open(&path)?;
        let mut log = Self {
            anchor: AnchorFile::beside(&path),
            path,
            writer: Some(writer),
            reader,
            lock: None,
            unmoved: 0,
        };
        log.begin_anchor()?;
        log.checkpoint();
        Ok(log)
    }

    /// An empty log gets its anchor at once, so that a log with events and without one is always
    /// suspicious: nothing advances from it until an operator has accepted it.
    fn begin_anchor(&self) -> Result<(), Failure> {
        let none = self.anchor.read()? == Ok(None);
        if none && self.reader.tail()? == Tail::EMPTY {
            self.anchor.write(Tail::EMPTY)?;
        }
        Ok(())
    }

    /// Runs `job` in a transaction of its own and commits when it succeeds.
    fn write<T, E: From<Failure>>(
        &mut self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<Result<T, E>>,
    ) -> Result<T, E> {
        let transaction = self.begin()?;
        let done = job(&transaction).map_err(|error| failed(&error))??;
        match transaction.commit() {
            Ok(()) => {
                self.count(1);
                Ok(done)
            }
            Err(error) => {
                self.writer = None;
                self.reader.close();
                Err(Failure::Unknown(error.to_string()).into())
            }
        }
    }

    fn begin(&mut self) -> Result<Transaction<'_>, Failure> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => open::writing(&self.path).map_err(|error| unavailable(&error))?,
        };
        self.writer
            .insert(writer)
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| failed(&error))
    }

    fn try_append_all(
        &mut self,
        requests: &[Request],
    ) -> Result<Vec<Result<Appended, AppendError>>, Failure> {
        let transaction = self.begin()?;
        let answers = write::append_all(&transaction, requests).map_err(|error| failed(&error))?;
        match transaction.commit() {
            Ok(()) => Ok(answers),
            Err(error) => self.read_back(answers, &error),
        }
    }

    /// After a failed commit: opens the database as after a crash, and answers what is there.
    fn read_back(
        &mut self,
        answers: Vec<Result<Appended, AppendError>>,
        error: &rusqlite::Error,
    ) -> Result<Vec<Result<Appended, AppendError>>, Failure> {
        let unknown =
            |why: &dyn std::fmt::Display| Failure::Unknown(format!("{error}; reading back: {why}"));
        let writer = self.reopen().map_err(|why| unknown(&why))?;
        let confirm = |appended: Appended| {
            let there = read::hash_at(writer, appended.tail.position);
            match there.map_err(|why| unknown(&why))? {
                Some(hash) if hash == appended.tail.hash => Ok(appended),
                _ => Err(Failure::Unavailable(format!("the commit failed: {error}")).into()),
            }
        };
        let confirmed = answers.into_iter().map(|answer| answer.and_then(confirm));
        Ok(confirmed.collect())
    }

    /// Closes every connection of this process and opens the database alone, with nothing left in
    /// the write-ahead log that a later opening could bring back.
    fn reopen(&mut self) -> Result<&Connection, Failure> {
        self.writer = None;
        let writer = self.reader.while_closed(|| {
            let writer = open::writing(&self.path).map_err(|error| unavailable(&error))?;
            let moved = write::checkpoint(&writer, "TRUNCATE").map_err(|error| failed(&error))?;
            if moved {
                Ok(writer)
            } else {
                let other = "another process is reading the database";
                Err(Failure::Unavailable(other.into()))
            }
        })?;
        Ok(self.writer.insert(writer))
    }

    /// Moves the write-ahead log into the database once it has grown by enough.
    fn count(&mut self, writes: usize) {
        self.unmoved = self.unmoved.saturating_add(writes);
        if self.unmoved >= CHECKPOINT_WRITES {
            self.checkpoint();
        }
    }

    /// Moves the write-ahead log into the database. Done here and not by SQLite within a commit,
    /// where an error would go unseen. What cannot be moved stays where it is, as durable.
    fn checkpoint(&mut self) {
        let Some(writer) = &self.writer else {
            return;
        };
        match write::checkpoint(writer, "PASSIVE") {
            Ok(true) => self.unmoved = 0,
            Ok(false) => tracing::debug!("a reader holds the write-ahead log, it is moved later"),
            Err(error) => tracing::error!(%error, "cannot move the write-ahead log, trying again"),
        }
    }

    /// Takes the lock file, or names who has it.
    fn lock(&mut self, now: Timestamp) -> Result<(), LeaseError> {
        if self.lock.is_some() {
            return Ok(());
        }
        let path = anchor::suffixed(&self.path, ".lock");
        let failed = |error: std::io::Error| {
            Failure::Unavailable(format!("cannot lock {}: {error}", path.display()))
        };
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                self.lock = Some(file);
                Ok(())
            }
            Err(TryLockError::WouldBlock) => {
                Err(LeaseError::Held { held: self.reader.held()?.unwrap_or_else(|| nameless(now)) })
            }
            Err(TryLockError::Error(error)) => Err(failed(error).into()),
        }
    }
}

impl Drop for SqliteLog {
    /// The writer has to be the last to close: only it can leave the write-ahead log empty.
    fn drop(&mut self) {
        self.reader.close();
    }
}

impl Log for SqliteLog {
    fn acquire(&mut self, holder: &str, ttl: Millis, now: Timestamp) -> Result<Lease, LeaseError> {
        let had = self.lock.is_some();
        self.lock(now)?;
        let taken = self.write(|writer| write::acquire(writer, holder, now.plus(ttl)).map(Ok));
        if taken.is_err() && !had {
            self.lock = None;
        }
        taken.map(Lease::new)
    }

    fn renew(&mut self, lease: &Lease, ttl: Millis, now: Timestamp) -> Result<Lease, LeaseError> {
        let held =
            Held { until: now.plus(ttl), holder: lease.holder().to_owned(), epoch: lease.epoch() };
        self.write(|writer| write::renew(writer, lease, held.until))?;
        Ok(Lease::new(held))
    }

    fn release(&mut self, lease: &Lease) -> Result<(), LeaseError> {
        self.write(|writer| write::release(writer, lease))?;
        self.lock = None;
        Ok(())
    }

    fn append_all(&mut self, requests: &[Request]) -> Vec<Result<Appended, AppendError>> {
        match self.try_append_all(requests) {
            Ok(answers) => {
                self.count(requests.iter().map(|it| it.append.entries.len()).sum());
                answers
            }
            Err(failure) => requests.iter().map(|_| Err(failure.clone().into())).collect(),
        }
    }

    fn settle(
        &mut self,
        lease: &Lease,
        key: &str,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<(), SettleError> {
        self.write(|writer| write::settle(writer, lease, key, outcome, now))
    }

    fn put(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        self.write(|writer| write::put(writer, key, value).map(Ok))
    }

    fn delete(&mut self, key: &str) -> Result<(), Failure> {
        self.write(|writer| write::delete(writer, key).map(Ok))
    }

    fn anchor(&mut self) -> Result<Anchoring, Failure> {
        let found = self.reader.anchoring()?;
        if found == Anchoring::Whole {
            self.anchor.write(self.reader.tail()?)?;
        }
        Ok(found)
    }

    fn accept(&mut self, lease: &Lease) -> Result<Tail, LeaseError> {
        let tail = self.write(|writer| write::leading_tail(writer, lease))?;
        self.anchor.write(tail)?;
        Ok(tail)
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(self.reader.clone())
    }
}

/// A holder that has the lock and has not written its name yet.
fn nameless(now: Timestamp) -> Held {
    Held { holder: "a process that is starting".into(), epoch: 0, until: now }
}

fn failed(error: &rusqlite::Error) -> Failure {
    unavailable(error)
}

fn unavailable(error: &dyn std::fmt::Display) -> Failure {
    Failure::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain;
    use crate::log::{Append, Entry};

    const NOW: Timestamp = Timestamp(1_000);

    fn log() -> (tempfile::TempDir, SqliteLog, Lease) {
        let folder = tempfile::tempdir().unwrap();
        let mut log = SqliteLog::open(&folder.path().join("log.db")).unwrap();
        let lease = log.acquire("test", Millis(1_000), NOW).unwrap();
        (folder, log, lease)
    }

    fn append(expected: u64) -> Append {
        Append {
            rollout: "a".into(),
            expected,
            at: NOW,
            entries: vec![Entry { kind: "created".into(), body: "{}".into(), owed: Vec::new() }],
        }
    }

    fn commit_error() -> rusqlite::Error {
        rusqlite::Error::InvalidQuery
    }

    #[test]
    fn a_failed_commit_that_happened_is_acknowledged() {
        let (_folder, mut log, lease) = log();
        let appended = log.append(&lease, append(0)).unwrap();
        let answers = log.read_back(vec![Ok(appended)], &commit_error()).unwrap();
        assert_eq!(answers, [Ok(appended)]);
        log.append(&lease, append(1)).unwrap();
        assert_eq!(log.reader().events("a", 0).unwrap().len(), 2);
    }

    #[test]
    fn a_failed_commit_that_did_not_happen_is_reported_as_such() {
        let (_folder, mut log, lease) = log();
        let there = log.append(&lease, append(0)).unwrap();
        let mut lost = there;
        lost.tail.position += 1;
        let mut other = there;
        other.tail.hash = chain::GENESIS;
        let answers = vec![Ok(lost), Ok(other)];
        for answer in log.read_back(answers, &commit_error()).unwrap() {
            let answer = answer.unwrap_err();
            assert!(matches!(answer, AppendError::Failed(Failure::Unavailable(_))), "{answer:?}");
        }
    }

    #[test]
    fn a_failed_commit_stays_unknown_while_another_process_reads() {
        let (folder, mut log, lease) = log();
        let other = Connection::open(folder.path().join("log.db")).unwrap();
        let snapshot = other.unchecked_transaction().unwrap();
        let count: i64 =
            snapshot.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
        assert_eq!(count, 0);
        let appended = log.append(&lease, append(0)).unwrap();
        let answer = log.read_back(vec![Ok(appended)], &commit_error());
        assert!(matches!(answer, Err(Failure::Unknown(_))), "{answer:?}");
        drop(snapshot);
        log.append(&lease, append(1)).unwrap();
    }

    #[test]
    fn writes_without_events_do_not_let_the_write_ahead_log_grow_either() {
        let (folder, mut log, lease) = log();
        for _ in 0..CHECKPOINT_WRITES * 3 {
            log.renew(&lease, Millis(1_000), NOW).unwrap();
        }
        assert!(log.unmoved < CHECKPOINT_WRITES);
        let frames = std::fs::metadata(folder.path().join("log.db-wal")).unwrap().len() / 4_120;
        assert!(frames < 2 * CHECKPOINT_WRITES as u64, "{frames} frames of one page");
    }

    #[test]
    fn the_write_ahead_log_is_moved_into_the_database_as_it_grows() {
        let (folder, mut log, lease) = log();
        let mut many = append(0);
        let entry = many.entries.first().unwrap().clone();
        many.entries = vec![entry; CHECKPOINT_WRITES];
        log.append(&lease, many).unwrap();
        assert_eq!(log.unmoved, 0);
        let database = std::fs::read(folder.path().join("log.db")).unwrap();
        assert!(database.len() > CHECKPOINT_WRITES * 32, "{}", database.len());
    }
}
