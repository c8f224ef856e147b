//! A controller killed at any moment.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use store::Store;
use store::chain::{self, Hash};
use store::lease::Lease;
use store::log::{AppendError, Log};
use store::sqlite::SqliteLog;

use crate::support::{NOW, TTL, append, lead, owing};

/// Tells a process that it is the one to be killed, and gives it the database.
const VICTIM: &str = "STORE_CRASH_VICTIM";

/// How often it is killed.
const KILLS: u64 = 30;

/// Writers in the victim: enough that commits are shared.
const WRITERS: u64 = 4;

/// This test is two processes: run plainly it starts itself again as the victim, over and over.
#[test]
fn kill_dash_nine_loses_nothing_acknowledged() {
    if let Some(database) = std::env::var_os(VICTIM) {
        write_for_ever(Path::new(&database));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let mut acknowledged = 0;
    for round in 0..KILLS {
        let acks = kill_one(&path, round);
        acknowledged += acks.len();
        check(&path, &acks, round);
    }
    println!("{acknowledged} acknowledged events over {KILLS} kills");
    assert!(acknowledged > 100, "the victims wrote: {acknowledged}");
}

/// Starts a victim, kills it at a moment that differs from round to round, and answers what it
/// had acknowledged until then.
fn kill_one(path: &Path, round: u64) -> Vec<(u64, Hash)> {
    let mut victim = start_victim(path);
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    // Spread over the first acknowledgements and over the time between two of them.
    let wanted = usize::try_from(round * 7 % 40).unwrap();
    let mut acks: Vec<_> = (&mut lines).filter_map(ack).take(wanted).collect();
    thread::sleep(Duration::from_micros(round * 389 % 5_000));
    victim.kill().unwrap();
    let ended = victim.wait().unwrap();
    assert_eq!(ended.signal(), Some(9), "the victim was killed, it did not end: {ended}");
    acks.extend(lines.filter_map(ack));
    acks
}

fn start_victim(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("crash::kill_dash_nine_loses_nothing_acknowledged")
        .env(VICTIM, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn ack(line: std::io::Result<String>) -> Option<(u64, Hash)> {
    let line = line.unwrap();
    // A line cut off by the kill was not acknowledged to anyone.
    let (position, hash) = line.strip_prefix("ack ")?.split_once(' ')?;
    Some((position.parse().ok()?, hash.parse().ok()?))
}

/// What the next start finds.
fn check(path: &Path, acks: &[(u64, Hash)], round: u64) {
    let mut log = SqliteLog::open(path).unwrap();
    let lease = lead(&mut log);
    let reader = log.reader();
    let audit = chain::verify(&*reader).unwrap();
    assert!(audit.is_whole(), "round {round}: {audit:?}");
    let records = reader.all(0, u32::MAX).unwrap();
    for (position, hash) in acks {
        let there = records.iter().find(|it| it.position == *position);
        assert_eq!(there.map(|it| it.hash), Some(*hash), "round {round}, {position}");
    }
    let owed: usize =
        (0..WRITERS).map(|writer| reader.deliveries(&format!("r{writer}")).unwrap().len()).sum();
    assert_eq!(owed, records.len(), "round {round}: each event owes one delivery");
    assert!(records.iter().all(|it| it.epoch < lease.epoch()));
}

/// The victim: appends and says so, until it is killed.
fn write_for_ever(path: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store = Store::open(path).unwrap();
        let lease = store.acquire("victim", TTL, NOW).await.unwrap();
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            writers.spawn(write_to(store.clone(), lease.clone(), format!("r{writer}")));
        }
        let ended = writers.join_next().await;
        panic!("a writer came to an end: {ended:?}");
    });
}

async fn write_to(store: Store, lease: Lease, rollout: String) -> Result<(), AppendError> {
    let mut seq = u64::try_from(store.events(&rollout, 0).await?.len()).unwrap();
    loop {
        let key = format!("{rollout}:{}:0", seq + 1);
        let events = append(&rollout, seq, vec![owing(&[&key])]);
        let appended = store.append(&lease, events).await?;
        println!("ack {} {}", appended.tail.position, appended.tail.hash);
        seq = appended.seq;
    }
}
