//! Opening the database: the checks before it is used, and the tables.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use thiserror::Error;

use crate::log::Failure;

/// The first SQLite without the WAL-reset race, which could lose commits (fixed in 3.51.3).
const OLDEST_SQLITE: i32 = 3_051_003;

/// Marks a file as ours: "sluc" in ASCII.
const APPLICATION_ID: i32 = 0x736c_7563;

/// The tables, one step per schema version.
const MIGRATIONS: [&str; 1] = [include_str!("../migrations/0001-log.sql")];

/// Why a log was not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// SQLite is too old to be trusted with a write-ahead log.
    #[error("SQLite {found} can lose commits, at least {oldest} is needed")]
    OldSqlite {
        /// The version linked, as SQLite numbers it: 3051003 is 3.51.3.
        found: i32,
        /// The oldest version allowed.
        oldest: i32,
    },
    /// The file is a database of something else.
    #[error("{} is not a log of sluice (application id {found:#x})", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its application id.
        found: i32,
    },
    /// The log has tables this program does not know.
    #[error("{} has schema version {found}, this sluice knows {known}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The schema version of this program.
        known: usize,
    },
    /// The database does not do what durability needs.
    #[error("{} stays in journal mode {found}, write-ahead logging is needed", path.display())]
    JournalMode {
        /// The file.
        path: PathBuf,
        /// The journal mode it is in.
        found: String,
    },
    /// The file system refused.
    #[error("cannot open {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// SQLite refused.
    #[error("cannot open {}: {error}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        error: String,
    },
    /// The log opened and could not be read.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// A connection that writes; creates the database when there is none.
pub(super) fn writing(path: &Path) -> Result<Connection, OpenError> {
    check_version(rusqlite::version_number())?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sqlite = |error| sqlite(path, &error);
    let mut connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    let empty = check_ours(&connection, path)?;
    configure(&connection, path)?;
    migrate(&mut connection).map_err(sqlite)?;
    if empty {
        sync_folder(path)?;
    }
    Ok(connection)
}

/// A connection that only reads, to a database that is there.
pub(super) fn reading(path: &Path) -> Result<Connection, OpenError> {
    check_version(rusqlite::version_number())?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|error| sqlite(path, &error))?;
    if check_ours(&connection, path)? {
        let path = path.to_owned();
        return Err(OpenError::Foreign { path, found: 0 });
    }
    Ok(connection)
}

/// The path by which every process names the same database, so that they meet at the same lock.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, OpenError> {
    path.canonicalize().map_err(|error| io(path, error))
}

fn check_version(found: i32) -> Result<(), OpenError> {
    if found < OLDEST_SQLITE {
        let oldest = OLDEST_SQLITE;
        return Err(OpenError::OldSqlite { found, oldest });
    }
    Ok(())
}

/// Refuses what is not a log or is a newer one. Answers whether the database is still empty.
fn check_ours(connection: &Connection, path: &Path) -> Result<bool, OpenError> {
    let ask = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let sqlite = |error| sqlite(path, &error);
    let id = ask("PRAGMA application_id").map_err(sqlite)?;
    let tables = ask("SELECT count(*) FROM sqlite_schema").map_err(sqlite)?;
    if id == 0 && tables == 0 {
        return Ok(true);
    }
    if id != i64::from(APPLICATION_ID) {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
            found: i32::try_from(id).unwrap_or_default(),
        });
    }
    let found = ask("PRAGMA user_version").map_err(sqlite)?;
    let known = MIGRATIONS.len();
    if usize::try_from(found).is_ok_and(|found| found <= known) {
        return Ok(false);
    }
    Err(OpenError::Schema { path: path.to_owned(), found, known })
}

fn configure(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let found: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(|error| sqlite(path, &error))?;
    if found != "wal" {
        let path = path.to_owned();
        return Err(OpenError::JournalMode { path, found });
    }
    // FULL syncs at every commit; checkpoints are ours, so that their errors are seen.
    let settings = "PRAGMA synchronous = FULL;
        PRAGMA fullfsync = ON;
        PRAGMA wal_autocheckpoint = 0;
        PRAGMA cell_size_check = ON;
        PRAGMA trusted_schema = OFF;";
    connection.execute_batch(settings).map_err(|error| sqlite(path, &error))
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let done = usize::try_from(done).unwrap_or_default();
    if done >= MIGRATIONS.len() {
        return Ok(());
    }
    for step in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    let version = MIGRATIONS.len();
    transaction.execute_batch(&format!(
        "PRAGMA user_version = {version}; PRAGMA application_id = {APPLICATION_ID};"
    ))?;
    transaction.commit()
}

/// Makes the new file's name durable too.
fn sync_folder(path: &Path) -> Result<(), OpenError> {
    let path = resolve(path)?;
    let folder = path.parent().unwrap_or(&path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| io(folder, error))
}

fn sqlite(path: &Path, error: &rusqlite::Error) -> OpenError {
    OpenError::Sqlite { path: path.to_owned(), error: error.to_string() }
}

fn io(path: &Path, error: io::Error) -> OpenError {
    OpenError::Io { path: path.to_owned(), error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_with_the_wal_reset_race_is_refused() {
        let refused = check_version(3_051_002).unwrap_err().to_string();
        assert_eq!(refused, "SQLite 3051002 can lose commits, at least 3051003 is needed");
        assert!(check_version(3_051_003).is_ok());
    }

    #[test]
    fn the_sqlite_built_in_is_new_enough() {
        assert!(check_version(rusqlite::version_number()).is_ok());
    }

    #[test]
    fn a_writing_connection_is_durable_at_every_commit() {
        let folder = tempfile::tempdir().unwrap();
        let connection = writing(&folder.path().join("log.db")).unwrap();
        let ask = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(ask("PRAGMA synchronous"), 2, "2 is FULL");
        assert_eq!(ask("PRAGMA wal_autocheckpoint"), 0);
    }
}
