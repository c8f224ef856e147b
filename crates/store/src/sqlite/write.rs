//! Every change to the tables. Each function runs inside a transaction its caller commits.
//!
//! The outer `Result` is SQLite's; the inner one is the answer: a refusal has changed nothing.

use rollout::units::Timestamp;
use rusqlite::{Connection, params};

use super::read::{self, signed};
use crate::chain::Tail;
use crate::lease::{Held, Lease, LeaseError};
use crate::log::{self, Append, AppendError, Appended, Record, Request};
use crate::outbox::{DeliveryState, Outcome, Owed, SettleError};

/// Appends what can be appended, and answers each request.
pub(super) fn append_all(
    connection: &Connection,
    requests: &[Request],
) -> rusqlite::Result<Vec<Result<Appended, AppendError>>> {
    let mut end = read::tail(connection)?;
    let mut answer = |request: &Request| {
        if let Some(refusal) = refusal(connection, request)? {
            return Ok(Err(refusal));
        }
        let appended = append(connection, end, request)?;
        end = appended.tail;
        Ok(Ok(appended))
    };
    requests.iter().map(&mut answer).collect()
}

/// Why `request` cannot be appended now, if it cannot.
fn refusal(connection: &Connection, request: &Request) -> rusqlite::Result<Option<AppendError>> {
    let Append { rollout, expected, .. } = &request.append;
    if let Err(invalid) = log::check(&request.append) {
        return Ok(Some(invalid));
    }
    if let Err(lost) = request.lease.check(read::epoch(connection)?) {
        return Ok(Some(lost.into()));
    }
    let found = read::last_seq(connection, rollout)?;
    if found != *expected {
        return Ok(Some(AppendError::Conflict {
            rollout: rollout.clone(),
            expected: *expected,
            found,
        }));
    }
    for owed in request.append.entries.iter().flat_map(|entry| &entry.owed) {
        if read::state_of(connection, &owed.key)?.is_some() {
            return Ok(Some(AppendError::Invalid(log::owed_twice(&owed.key))));
        }
    }
    Ok(None)
}

fn append(connection: &Connection, end: Tail, request: &Request) -> rusqlite::Result<Appended> {
    let mut last = Appended { seq: request.append.expected, tail: end };
    for entry in &request.append.entries {
        let record = log::place(&last, request, entry);
        insert(connection, &record)?;
        for owed in &entry.owed {
            owe(connection, &record, owed)?;
        }
        last = record.end();
    }
    Ok(last)
}

fn insert(connection: &Connection, record: &Record) -> rusqlite::Result<()> {
    let sql = "INSERT INTO events (position, rollout, seq, epoch, at, kind, body, hash)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    connection.prepare_cached(sql)?.execute(params![
        signed(record.position),
        record.rollout,
        signed(record.seq),
        signed(record.epoch),
        record.at.0,
        record.kind,
        record.body,
        record.hash.0,
    ])?;
    Ok(())
}

fn owe(connection: &Connection, record: &Record, owed: &Owed) -> rusqlite::Result<()> {
    let sql = "INSERT INTO outbox (key, rollout, seq, receiver, body, owed_at, at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)";
    connection.prepare_cached(sql)?.execute(params![
        owed.key,
        record.rollout,
        signed(record.seq),
        owed.receiver,
        owed.body,
        record.at.0,
    ])?;
    Ok(())
}

/// Starts a new epoch under `holder`.
pub(super) fn acquire(
    connection: &Connection,
    holder: &str,
    until: Timestamp,
) -> rusqlite::Result<Held> {
    let sql = "UPDATE lease SET epoch = epoch + 1, holder = ?1, until = ?2";
    connection.execute(sql, params![holder, until.0])?;
    Ok(Held { holder: holder.to_owned(), epoch: read::epoch(connection)?, until })
}

/// Moves the end of the lease.
pub(super) fn renew(
    connection: &Connection,
    lease: &Lease,
    until: Timestamp,
) -> rusqlite::Result<Result<(), LeaseError>> {
    if let Err(lost) = lease.check(read::epoch(connection)?) {
        return Ok(Err(lost.into()));
    }
    connection.execute("UPDATE lease SET until = ?1", [until.0])?;
    Ok(Ok(()))
}

/// Ends the epoch without a holder: the next epoch begins, so no copy of the lease works.
pub(super) fn release(
    connection: &Connection,
    lease: &Lease,
) -> rusqlite::Result<Result<(), LeaseError>> {
    if let Err(lost) = lease.check(read::epoch(connection)?) {
        return Ok(Err(lost.into()));
    }
    connection.execute("UPDATE lease SET epoch = epoch + 1, holder = NULL", [])?;
    Ok(Ok(()))
}

/// The end of the log, for the holder of the lease.
pub(super) fn leading_tail(
    connection: &Connection,
    lease: &Lease,
) -> rusqlite::Result<Result<Tail, LeaseError>> {
    if let Err(lost) = lease.check(read::epoch(connection)?) {
        return Ok(Err(lost.into()));
    }
    read::tail(connection).map(Ok)
}

/// Records an attempt.
pub(super) fn settle(
    connection: &Connection,
    lease: &Lease,
    key: &str,
    outcome: &Outcome,
    now: Timestamp,
) -> rusqlite::Result<Result<(), SettleError>> {
    if let Err(lost) = lease.check(read::epoch(connection)?) {
        return Ok(Err(lost.into()));
    }
    let key_of = || key.to_owned();
    match read::state_of(connection, key)? {
        None => return Ok(Err(SettleError::NotOwed { key: key_of() })),
        Some(DeliveryState::Pending { .. }) => {}
        Some(state) => {
            return Ok(Err(SettleError::Settled { key: key_of(), state }));
        }
    }
    let (state, at, reason) = match outcome.state(now) {
        DeliveryState::Pending { next_at, reason } => ("pending", next_at, reason),
        DeliveryState::Done { at } => ("done", at, None),
        DeliveryState::Dead { at, reason } => ("dead", at, Some(reason)),
    };
    let sql = "UPDATE outbox SET state = ?2, at = ?3, reason = ?4, attempts = attempts + 1
        WHERE key = ?1";
    connection.prepare_cached(sql)?.execute(params![key, state, at.0, reason])?;
    Ok(Ok(()))
}

/// Keeps a note.
pub(super) fn put(connection: &Connection, key: &str, value: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO notes (key, value) VALUES (?1, ?2)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    connection.prepare_cached(sql)?.execute([key, value])?;
    Ok(())
}

/// Forgets a note.
pub(super) fn delete(connection: &Connection, key: &str) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM notes WHERE key = ?1", [key])?;
    Ok(())
}

/// Moves the write-ahead log into the database; answers whether all of it could be moved.
pub(super) fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<bool> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    connection.query_row(&sql, [], |row| {
        let (busy, logged, moved): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(busy == 0 && logged == moved)
    })
}
