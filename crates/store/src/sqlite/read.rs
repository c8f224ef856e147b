//! Every question asked of the tables.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rollout::units::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Params, Row};

use super::open::{self, OpenError};
use super::{failed, unavailable};
use crate::anchor::{self, AnchorFile, Anchoring};
use crate::chain::{Hash, Tail};
use crate::lease::Held;
use crate::log::{Failure, Reader, Record};
use crate::outbox::{Delivery, DeliveryState};

/// Reads a log in a SQLite file over a connection of its own that cannot write.
#[derive(Clone, Debug)]
pub struct SqliteReader {
    path: PathBuf,
    anchor: AnchorFile,
    /// `None` until the next question, which opens it.
    connection: Arc<Mutex<Option<Connection>>>,
}

impl SqliteReader {
    /// Opens the log at `path` for reading, also while a controller writes it.
    ///
    /// # Errors
    /// See [`OpenError`]; a log that is not there is not created.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let connection = open::reading(path)?;
        let path = open::resolve(path)?;
        Ok(Self {
            anchor: AnchorFile::beside(&path),
            path,
            connection: Arc::new(Mutex::new(Some(connection))),
        })
    }

    /// Closes the connection; the next question opens a new one.
    pub(super) fn close(&self) {
        *self.slot() = None;
    }

    /// Runs `job` while no question can be asked and no connection for one is open.
    pub(super) fn while_closed<T>(&self, job: impl FnOnce() -> T) -> T {
        let mut slot = self.slot();
        *slot = None;
        job()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Failure> {
        let mut slot = self.slot();
        let connection = match slot.take() {
            Some(connection) => connection,
            None => open::reading(&self.path).map_err(|error| unavailable(&error))?,
        };
        question(slot.insert(connection)).map_err(|error| failed(&error))
    }
}

impl Reader for SqliteReader {
    fn events(&self, rollout: &str, after: u64) -> Result<Vec<Record>, Failure> {
        let sql = "SELECT position, rollout, seq, epoch, at, kind, body, hash FROM events
            WHERE rollout = ?1 AND seq > ?2 ORDER BY seq";
        self.ask(|it| rows(it, sql, (rollout, signed(after)), record))
    }

    fn all(&self, after: u64, limit: u32) -> Result<Vec<Record>, Failure> {
        let sql = "SELECT position, rollout, seq, epoch, at, kind, body, hash FROM events
            WHERE position > ?1 ORDER BY position LIMIT ?2";
        self.ask(|it| rows(it, sql, (signed(after), limit), record))
    }

    fn rollouts(&self) -> Result<Vec<String>, Failure> {
        // Hops from name to name along the index; DISTINCT would walk every event.
        let sql = "WITH RECURSIVE named(name) AS (
                SELECT min(rollout) FROM events
                UNION ALL
                SELECT (SELECT min(rollout) FROM events WHERE rollout > name) FROM named
                WHERE name IS NOT NULL
            ) SELECT name FROM named WHERE name IS NOT NULL";
        self.ask(|it| rows(it, sql, (), |row| row.get(0)))
    }

    fn tail(&self) -> Result<Tail, Failure> {
        self.ask(tail)
    }

    fn anchoring(&self) -> Result<Anchoring, Failure> {
        // The anchor first: the log only grows, so what it said then must hold now.
        let anchor = match self.anchor.read()? {
            Ok(anchor) => anchor,
            Err(why) => return Ok(Anchoring::Unreadable(why)),
        };
        self.ask(|it| {
            let there = match anchor {
                Some(anchor) => hash_at(it, anchor.position)?,
                None => None,
            };
            Ok(anchor::compare(anchor, tail(it)?, there))
        })
    }

    fn held(&self) -> Result<Option<Held>, Failure> {
        let sql = "SELECT holder, epoch, until FROM lease WHERE holder IS NOT NULL";
        self.ask(|it| {
            it.query_row(sql, [], |row| {
                Ok(Held {
                    holder: row.get(0)?,
                    epoch: unsigned(row, 1)?,
                    until: Timestamp(row.get(2)?),
                })
            })
            .optional()
        })
    }

    fn pending(&self, after: u64, limit: u32) -> Result<Vec<Delivery>, Failure> {
        let sql =
            "SELECT id, key, rollout, seq, receiver, body, owed_at, attempts, state, at, reason
            FROM outbox WHERE state = 'pending' AND id > ?1 ORDER BY id LIMIT ?2";
        self.ask(|it| rows(it, sql, (signed(after), limit), delivery))
    }

    fn deliveries(&self, rollout: &str) -> Result<Vec<Delivery>, Failure> {
        let sql =
            "SELECT id, key, rollout, seq, receiver, body, owed_at, attempts, state, at, reason
            FROM outbox WHERE rollout = ?1 ORDER BY id";
        self.ask(|it| rows(it, sql, [rollout], delivery))
    }

    fn note(&self, key: &str) -> Result<Option<String>, Failure> {
        let sql = "SELECT value FROM notes WHERE key = ?1";
        self.ask(|it| it.query_row(sql, [key], |row| row.get(0)).optional())
    }

    fn notes(&self, prefix: &str) -> Result<Vec<(String, String)>, Failure> {
        let sql = "SELECT key, value FROM notes
            WHERE key >= ?1 AND substr(key, 1, length(?1)) = ?1 ORDER BY key";
        self.ask(|it| rows(it, sql, [prefix], |row| Ok((row.get(0)?, row.get(1)?))))
    }
}

/// The end of the log.
pub(super) fn tail(connection: &Connection) -> rusqlite::Result<Tail> {
    let sql = "SELECT position, hash FROM events ORDER BY position DESC LIMIT 1";
    let last = connection
        .prepare_cached(sql)?
        .query_row([], |row| Ok(Tail { position: unsigned(row, 0)?, hash: Hash(row.get(1)?) }))
        .optional()?;
    Ok(last.unwrap_or(Tail::EMPTY))
}

/// The hash at `position`; of position 0 the one the chain starts from.
pub(super) fn hash_at(connection: &Connection, position: u64) -> rusqlite::Result<Option<Hash>> {
    if position == 0 {
        return Ok(Some(Tail::EMPTY.hash));
    }
    connection
        .prepare_cached("SELECT hash FROM events WHERE position = ?1")?
        .query_row([signed(position)], |row| row.get(0).map(Hash))
        .optional()
}

/// `seq` of the last event of `rollout`; 0 when it has none.
pub(super) fn last_seq(connection: &Connection, rollout: &str) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM events WHERE rollout = ?1")?
        .query_row([rollout], |row| unsigned(row, 0))
}

/// The epoch the log is in.
pub(super) fn epoch(connection: &Connection) -> rusqlite::Result<u64> {
    connection.prepare_cached("SELECT epoch FROM lease")?.query_row([], |row| unsigned(row, 0))
}

/// How the delivery under `key` stands.
pub(super) fn state_of(
    connection: &Connection,
    key: &str,
) -> rusqlite::Result<Option<DeliveryState>> {
    connection
        .prepare_cached("SELECT state, at, reason FROM outbox WHERE key = ?1")?
        .query_row([key], |row| state(row, 0))
        .optional()
}

/// A number as SQLite keeps it. Its numbers end at 2^63 - 1, where no log ever gets.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn rows<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    each: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(params, each)?.collect()
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        position: unsigned(row, 0)?,
        rollout: row.get(1)?,
        seq: unsigned(row, 2)?,
        epoch: unsigned(row, 3)?,
        at: Timestamp(row.get(4)?),
        kind: row.get(5)?,
        body: row.get(6)?,
        hash: Hash(row.get(7)?),
    })
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        number: unsigned(row, 0)?,
        key: row.get(1)?,
        rollout: row.get(2)?,
        seq: unsigned(row, 3)?,
        receiver: row.get(4)?,
        body: row.get(5)?,
        owed_at: Timestamp(row.get(6)?),
        attempts: row.get(7)?,
        state: state(row, 8)?,
    })
}

/// The columns state, at and reason, which start at `first`.
fn state(row: &Row<'_>, first: usize) -> rusqlite::Result<DeliveryState> {
    let state: String = row.get(first)?;
    let at = Timestamp(row.get(first.saturating_add(1))?);
    let reason: Option<String> = row.get(first.saturating_add(2))?;
    Ok(match state.as_str() {
        "done" => DeliveryState::Done { at },
        "dead" => DeliveryState::Dead { at, reason: reason.unwrap_or_default() },
        _ => DeliveryState::Pending { next_at: at, reason },
    })
}
