//! What is refused at opening, and who may open at the same time.

use rusqlite::Connection;
use store::chain;
use store::lease::LeaseError;
use store::log::{Log, Reader};
use store::sqlite::{OpenError, SqliteLog, SqliteReader};

use crate::support::{NOW, TTL, fill, lead};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let folder = folder();
    let path = folder.path().join("other.db");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(other);
    let before = std::fs::read(&path).unwrap();
    let refused = SqliteLog::open(&path).unwrap_err();
    assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_log_of_a_newer_program_is_refused_by_its_number() {
    let folder = folder();
    let path = folder.path().join("log.db");
    drop(SqliteLog::open(&path).unwrap());
    let newer = Connection::open(&path).unwrap();
    newer.execute_batch("PRAGMA user_version = 7").unwrap();
    drop(newer);
    let refused = SqliteLog::open(&path).unwrap_err().to_string();
    assert!(refused.ends_with("has schema version 7, this sluice knows 1"), "{refused}");
}

#[test]
fn a_file_that_is_no_database_is_refused_by_name() {
    let folder = folder();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "not a database at all, but long enough to look").unwrap();
    let refused = SqliteLog::open(&path).unwrap_err().to_string();
    assert!(refused.contains("notes.txt"), "{refused}");
    assert!(refused.contains("not a database"), "{refused}");
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = folder();
    let path = folder.path().join("absent/log.db");
    let refused = SqliteLog::open(&path).unwrap_err().to_string();
    assert!(refused.contains("absent/log.db"), "{refused}");
}

#[test]
fn a_reader_does_not_create_a_log() {
    let folder = folder();
    let path = folder.path().join("log.db");
    assert!(SqliteReader::open(&path).is_err());
    assert!(!path.exists());
}

#[test]
fn a_reader_follows_a_log_that_is_being_written() {
    let folder = folder();
    let path = folder.path().join("log.db");
    let mut log = SqliteLog::open(&path).unwrap();
    let lease = lead(&mut log);
    let reader = SqliteReader::open(&path).unwrap();
    fill(&mut log, &lease, 0, 3);
    assert_eq!(reader.tail(), log.reader().tail());
    assert!(chain::verify(&reader).unwrap().is_whole());
}

#[test]
fn a_reader_works_after_the_writer_has_gone() {
    let folder = folder();
    let path = folder.path().join("log.db");
    let mut log = SqliteLog::open(&path).unwrap();
    let lease = lead(&mut log);
    fill(&mut log, &lease, 0, 3);
    drop(log);
    let reader = SqliteReader::open(&path).unwrap();
    assert_eq!(reader.tail().unwrap().position, 3);
}

#[test]
fn another_name_for_the_same_file_meets_the_same_lock() {
    let folder = folder();
    let path = folder.path().join("log.db");
    let alias = folder.path().join("alias.db");
    let mut first = SqliteLog::open(&path).unwrap();
    std::os::unix::fs::symlink(&path, &alias).unwrap();
    let mut second = SqliteLog::open(&alias).unwrap();
    let _lease = lead(&mut first);
    let refused = second.acquire("second", TTL, NOW);
    assert!(matches!(refused, Err(LeaseError::Held { .. })));
}

#[test]
fn a_living_holder_keeps_its_lease_whatever_the_clock_says() {
    let folder = folder();
    let path = folder.path().join("log.db");
    let mut first = SqliteLog::open(&path).unwrap();
    let mut second = SqliteLog::open(&path).unwrap();
    let lease = lead(&mut first);
    let a_month_later = NOW.plus(rollout::units::Millis(30 * 24 * 3_600_000));
    let refused = second.acquire("second", TTL, a_month_later);
    assert!(matches!(refused, Err(LeaseError::Held { .. })));
    fill(&mut first, &lease, 0, 1);
}
