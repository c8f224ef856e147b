//! The asynchronous handle.

use std::time::Instant;

use store::chain;
use store::lease::LeaseError;
use store::log::{AppendError, Failure, Log};
use store::outbox::Outcome;
use store::sqlite::SqliteLog;
use store::{Store, anchor::Anchoring};

use crate::support::{NOW, TTL, append, entry, owing};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn an_acknowledged_event_is_read_at_once_and_survives_closing() {
    let folder = folder();
    let path = folder.path().join("log.db");
    let store = Store::open(&path).unwrap();
    let lease = store.acquire("first", TTL, NOW).await.unwrap();
    let events = append("a", 0, vec![owing(&["a:1:0"])]);
    let appended = store.append(&lease, events).await.unwrap();
    assert_eq!(store.tail().await, Ok(appended.tail));
    assert_eq!(store.events("a", 0).await.unwrap().len(), 1);
    assert_eq!(store.rollouts().await.unwrap(), ["a"]);
    let pending = store.pending(0, 10).await.unwrap();
    assert_eq!(pending[0].key, "a:1:0");
    store.settle(&lease, "a:1:0", Outcome::Done, NOW).await.unwrap();
    assert_eq!(store.pending(0, 10).await, Ok(vec![]));
    store.put("child/1", "42").await.unwrap();
    store.close().await;

    let store = Store::open(&path).unwrap();
    assert_eq!(store.all(0, 10).await.unwrap().len(), 1);
    assert_eq!(store.deliveries("a").await.unwrap()[0].attempts, 1);
    assert_eq!(store.notes("child/").await.unwrap().len(), 1);
    assert!(store.verify().await.unwrap().is_whole());
    let again = store.acquire("second", TTL, NOW).await.unwrap();
    assert!(again.epoch() > lease.epoch());
}

#[tokio::test]
async fn closing_writes_the_anchor_and_ends_every_handle() {
    let folder = folder();
    let path = folder.path().join("log.db");
    let store = Store::open(&path).unwrap();
    let other = store.clone();
    let lease = store.acquire("first", TTL, NOW).await.unwrap();
    let events = append("a", 0, vec![entry("x")]);
    let appended = store.append(&lease, events).await.unwrap();
    store.close().await;
    let anchor = std::fs::read_to_string(folder.path().join("log.db.anchor")).unwrap();
    let line = format!("{} {}\n", appended.tail.position, appended.tail.hash);
    assert_eq!(anchor, line);
    let late = other.append(&lease, append("a", 1, vec![entry("y")])).await;
    let closed = Failure::Unavailable("the store is closed".into());
    assert_eq!(late, Err(AppendError::Failed(closed)));
    other.close().await;
}

#[tokio::test]
async fn a_second_store_on_the_same_file_is_refused_the_lease_but_may_read() {
    let folder = folder();
    let path = folder.path().join("log.db");
    let first = Store::open(&path).unwrap();
    let second = Store::open(&path).unwrap();
    let lease = first.acquire("first", TTL, NOW).await.unwrap();
    let refused = second.acquire("second", TTL, NOW).await.unwrap_err();
    assert!(matches!(refused, LeaseError::Held { .. }));
    let said = refused.to_string();
    assert!(said.starts_with("first holds the lease (epoch 1)"), "{said}");
    let events = append("a", 0, vec![entry("x")]);
    first.append(&lease, events).await.unwrap();
    assert_eq!(second.all(0, 10).await.unwrap().len(), 1);
    let renewed = first.renew(&lease, TTL, NOW).await.unwrap();
    first.release(renewed).await.unwrap();
    assert!(second.acquire("second", TTL, NOW).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_writers_at_once_all_get_their_place() {
    const WRITERS: u64 = 64;
    const EACH: u64 = 25;
    let folder = folder();
    let path = folder.path().join("log.db");
    let store = Store::open(&path).unwrap();
    let lease = store.acquire("first", TTL, NOW).await.unwrap();
    let start = Instant::now();
    let writers = (0..WRITERS).map(|writer| {
        let (store, lease) = (store.clone(), lease.clone());
        tokio::spawn(async move {
            for seq in 0..EACH {
                let events = append(&format!("r{writer}"), seq, vec![entry("x")]);
                let appended = store.append(&lease, events).await.unwrap();
                assert_eq!(appended.seq, seq + 1);
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let seconds = start.elapsed().as_secs_f64();
    let events = u32::try_from(WRITERS * EACH).unwrap();
    println!("{:.0} events/s from {WRITERS} writers", f64::from(events) / seconds);
    assert_eq!(store.rollouts().await.unwrap().len(), 64);
    assert_eq!(store.anchoring().await, Ok(Anchoring::Whole));
    store.close().await;
    let log = SqliteLog::open(&path).unwrap();
    let audit = chain::verify(&*log.reader()).unwrap();
    assert!(audit.is_whole(), "{audit:?}");
    assert_eq!(audit.tail.position, WRITERS * EACH);
}
