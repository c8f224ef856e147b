//! Snapshots swapped under load: nobody is dropped, nobody is on a side that no snapshot in
//! force meanwhile had for them.
//!
//! `benches/swaps/run` runs this for release with `SLUICE_SWAPS` swaps over `SLUICE_REQUESTS`
//! requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::Request;
use rollout::bucket::{bucket, meets_canary};
use rollout::units::Weight;
use tokio::time::Instant;

use crate::kit::{Backend, Http, canary, full, observed, proxy, shop, snapshot, until};

/// Connections the requests come over.
const CLIENTS: u64 = 32;
/// Users the requests come from.
const USERS: u64 = 20_000;
/// The weights of the snapshots, one after the other.
const WEIGHTS: [u32; 6] = [1, 10, 0, 50, 3, 100];

fn set(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().expect("a number"))
}

/// What is in force, by the number of the snapshot.
#[derive(Default)]
struct Force {
    /// Being applied, or applied.
    asked: AtomicUsize,
    /// Applied.
    applied: AtomicUsize,
}

fn weight(swap: usize) -> Weight {
    Weight::percent(WEIGHTS[swap % WEIGHTS.len()])
}

/// What came of one client's requests.
#[derive(Default)]
struct Seen {
    dropped: u64,
    /// On a side that no snapshot in force had for them.
    misled: u64,
    by_canary: u64,
}

async fn client(
    address: SocketAddr,
    (first, count): (u64, u64),
    done: Arc<AtomicU64>,
    force: Arc<Force>,
) -> Seen {
    let (mut http, mut seen) = (Http::connect(address).await, Seen::default());
    for turn in 0..count {
        let user = format!("u{}", (first + turn * CLIENTS) * 7_919 % USERS);
        let request = Request::get("/").header("x-user", &user).body(full("")).unwrap();
        let before = force.applied.load(Ordering::SeqCst);
        let answer = http.send(request).await;
        let after = force.asked.load(Ordering::SeqCst);
        match answer {
            Ok(answer) if answer.status.is_success() => {
                let by_canary = answer.text() == "v2";
                let bucket = bucket("rollout-1", &user);
                let meant =
                    (before..=after).any(|it| meets_canary(bucket, weight(it)) == by_canary);
                seen.misled += u64::from(!meant);
                seen.by_canary += u64::from(by_canary);
            }
            _ => {
                seen.dropped += 1;
                http = Http::connect(address).await;
            }
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_are_swapped_under_load_and_nobody_is_dropped_or_misled() {
    let (swaps, requests) = (set("SLUICE_SWAPS", 60), set("SLUICE_REQUESTS", 12_000));
    let (v1, v2) = (Backend::named("v1").await, Backend::named("v2").await);
    let mut service = shop(v1.address);
    // A check that is late under load must not take the share away: it is not what is asked here.
    service.health.unhealthy_after = 1_000_000;
    service.canary = Some(canary(v2.address, WEIGHTS[0]));
    let (proxy, address) = proxy(service.clone()).await;
    until("the canary is well", || observed(&proxy, "shop").weight_in_force > Weight::ZERO).await;

    let (done, force) = (Arc::new(AtomicU64::new(0)), Arc::new(Force::default()));
    let began = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for first in 0..CLIENTS {
        let share = (first, requests / CLIENTS);
        clients.spawn(client(address, share, Arc::clone(&done), Arc::clone(&force)));
    }
    for swap in 1..=usize::try_from(swaps).unwrap() {
        let due = requests * swap as u64 / (swaps + 1);
        while done.load(Ordering::Relaxed) < due {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        service.canary.as_mut().unwrap().weight = weight(swap);
        force.asked.store(swap, Ordering::SeqCst);
        proxy.apply(snapshot(1 + swap as u64, [service.clone()])).unwrap();
        force.applied.store(swap, Ordering::SeqCst);
    }
    let mut all = Seen::default();
    while let Some(seen) = clients.join_next().await {
        let Seen { dropped, misled, by_canary } = seen.unwrap();
        all.dropped += dropped;
        all.misled += misled;
        all.by_canary += by_canary;
    }
    println!(
        "{swaps} swaps during {} requests in {:.1} s: dropped {}, on a side that was not theirs {}, \
         answered by the canary {}",
        done.load(Ordering::Relaxed),
        began.elapsed().as_secs_f64(),
        all.dropped,
        all.misled,
        all.by_canary,
    );
    assert_eq!((all.dropped, all.misled), (0, 0));
    assert!(all.by_canary > 0, "the weights were in force at all");
}
