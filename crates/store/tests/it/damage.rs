//! What a damaged or edited SQLite file looks like to us.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use store::anchor::Anchoring;
use store::chain::{self, Audit, Why};
use store::log::{Log, Reader};
use store::sqlite::{SqliteLog, SqliteReader};

use crate::support::{fill, lead};

/// A closed, anchored log of `events` events.
fn log_of(events: u64) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let mut log = SqliteLog::open(&path).unwrap();
    let lease = lead(&mut log);
    fill(&mut log, &lease, 0, events);
    log.anchor().unwrap();
    drop(log);
    (folder, path)
}

fn audit(path: &Path) -> Audit {
    chain::verify(&SqliteReader::open(path).unwrap()).unwrap()
}

/// Does what someone with a shell could do.
fn edit(path: &Path, sql: &str) {
    let connection = Connection::open(path).unwrap();
    let triggers = "DROP TRIGGER events_are_not_changed; DROP TRIGGER events_are_not_removed;";
    connection.execute_batch(triggers).unwrap();
    connection.execute_batch(sql).unwrap();
}

fn anchor_of(path: &Path) -> PathBuf {
    path.with_file_name("log.db.anchor")
}

#[test]
fn a_flipped_bit_in_a_body_is_found_where_it_is() {
    for (position, bit) in [(1, 0), (20, 3), (40, 5)] {
        let (_folder, path) = log_of(40);
        let mut bytes = std::fs::read(&path).unwrap();
        let body = format!("{{\"kind\":\"event-{}\"}}", position - 1);
        let at = bytes.windows(body.len()).position(|window| window == body.as_bytes()).unwrap();
        bytes[at + 3] ^= 1 << bit;
        std::fs::write(&path, bytes).unwrap();
        let broken = audit(&path).broken.unwrap();
        assert_eq!(broken.position, position);
        assert!(matches!(broken.why, Why::Hash { .. }), "{broken}");
    }
}

#[test]
fn a_body_that_is_no_text_any_more_is_found_where_it_is() {
    let (_folder, path) = log_of(10);
    let mut bytes = std::fs::read(&path).unwrap();
    let body = b"{\"kind\":\"event-4\"}";
    let found = bytes.windows(body.len()).position(|it| it == body);
    bytes[found.unwrap() + 3] = 0xff;
    std::fs::write(&path, bytes).unwrap();
    let audit = audit(&path);
    let broken = audit.broken.unwrap();
    assert_eq!((audit.tail.position, broken.position), (4, 5));
    assert!(matches!(broken.why, Why::Unreadable(_)), "{broken}");
}

#[test]
fn the_log_refuses_to_be_edited() {
    let (_folder, path) = log_of(3);
    let connection = Connection::open(&path).unwrap();
    for sql in [
        "UPDATE events SET body = '{}' WHERE position = 2",
        "DELETE FROM events WHERE position = 3",
    ] {
        let refused = connection.execute(sql, []).unwrap_err().to_string();
        assert_eq!(refused, "the log is append-only");
    }
    assert!(audit(&path).is_whole());
}

#[test]
fn an_edit_by_force_is_found_where_it_is() {
    let (_folder, path) = log_of(5);
    edit(&path, "UPDATE events SET kind = 'approved' WHERE position = 4");
    let broken = audit(&path).broken.unwrap();
    assert_eq!(broken.position, 4);
}

#[test]
fn an_event_removed_from_the_middle_is_a_gap() {
    let (_folder, path) = log_of(5);
    edit(&path, "DELETE FROM events WHERE position = 3");
    let broken = audit(&path).broken.unwrap();
    assert_eq!((broken.position, broken.why), (3, Why::Gap { found: 4 }));
}

#[test]
fn a_log_cut_short_is_noticed_and_still_takes_the_way_back() {
    let (_folder, path) = log_of(5);
    let anchor = std::fs::read(anchor_of(&path)).unwrap();
    edit(&path, "DELETE FROM events WHERE position > 3");
    let mut log = SqliteLog::open(&path).unwrap();
    let found = chain::verify(&*log.reader()).unwrap();
    assert_eq!(found.broken, None, "a chain cut short is a valid chain");
    assert!(
        matches!(&found.anchoring, Anchoring::Truncated { anchor, found }
            if anchor.position == 5 && found.position == 3),
        "{found:?}"
    );
    assert_eq!(found.anchoring.to_string(), "the log reached position 5 and now ends at 3");
    let lease = log.acquire("next", crate::support::TTL, crate::support::NOW).unwrap();
    fill(&mut log, &lease, 3, 1);
    log.anchor().unwrap();
    assert_eq!(std::fs::read(anchor_of(&path)).unwrap(), anchor, "evidence stays");
    log.accept(&lease).unwrap();
    assert_eq!(log.reader().anchoring(), Ok(Anchoring::Whole));
}

#[test]
fn a_flipped_bit_in_the_write_ahead_log_drops_the_tail_and_the_anchor_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let mut log = SqliteLog::open(&path).unwrap();
    let lease = lead(&mut log);
    fill(&mut log, &lease, 0, 5);
    log.anchor().unwrap();
    let crashed = tempfile::tempdir().unwrap();
    for name in ["log.db", "log.db-wal", "log.db.anchor"] {
        std::fs::copy(folder.path().join(name), crashed.path().join(name)).unwrap();
    }
    let wal = crashed.path().join("log.db-wal");
    let mut bytes = std::fs::read(&wal).unwrap();
    let last = bytes.len() - 100;
    bytes[last] ^= 1;
    std::fs::write(&wal, bytes).unwrap();
    let log = SqliteLog::open(&crashed.path().join("log.db")).unwrap();
    assert_eq!(log.reader().tail().unwrap().position, 4);
    let found = log.reader().anchoring().unwrap();
    assert!(matches!(found, Anchoring::Truncated { .. }), "{found}");
}

#[test]
fn a_log_put_in_the_place_of_another_is_noticed() {
    let (_folder, path) = log_of(5);
    let (_other_folder, other) = log_of(3);
    edit(&other, "UPDATE events SET hash = zeroblob(32) WHERE position = 3");
    std::fs::copy(anchor_of(&path), anchor_of(&other)).unwrap();
    assert!(matches!(audit(&other).anchoring, Anchoring::Truncated { .. }));
    edit(&path, "UPDATE events SET hash = zeroblob(32) WHERE position = 5");
    assert!(matches!(audit(&path).anchoring, Anchoring::Replaced { .. }));
}

#[test]
fn an_anchor_that_is_gone_or_senseless_is_reported_and_not_replaced() {
    let (_folder, path) = log_of(3);
    std::fs::remove_file(anchor_of(&path)).unwrap();
    let mut log = SqliteLog::open(&path).unwrap();
    assert!(matches!(log.anchor().unwrap(), Anchoring::Missing { .. }));
    assert!(!anchor_of(&path).exists());
    for senseless in ["", "5", "five 00", "5 00\n"] {
        std::fs::write(anchor_of(&path), senseless).unwrap();
        let found = log.anchor().unwrap();
        assert!(matches!(found, Anchoring::Unreadable(_)), "{senseless:?}: {found}");
    }
    let reader: Box<dyn Reader> = log.reader();
    assert!(!chain::verify(&*reader).unwrap().is_whole());
    std::fs::remove_file(anchor_of(&path)).unwrap();
    let lease = log.acquire("operator", crate::support::TTL, crate::support::NOW).unwrap();
    log.accept(&lease).unwrap();
    assert!(chain::verify(&*reader).unwrap().is_whole());
}
