//! A canary at 10 % that fails everything, under load, with the guard watching: who sees it?
//!
//! `benches/shield/run` runs this for release at `SLUICE_RATE` requests a second and with the
//! shield's default time limit; what it prints is a Markdown table.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use rollout::route::ServiceRoute;
use rollout::units::{Millis, Weight};
use tokio::time::{Instant, MissedTickBehavior, interval};
use traffic::Proxy;

use crate::kit::{Backend, Http, counted, full, observed, proxy, rule, snapshot, until};
use crate::shield::{Fails, failing, shielded};

/// Users the requests come from.
const USERS: u64 = 20_000;

/// How much, for how long.
#[derive(Clone, Copy)]
struct Load {
    per_second: u64,
    lasts: Duration,
    /// The shield's limit for an answer to begin.
    timeout: Millis,
}

fn load() -> Load {
    let rate = std::env::var("SLUICE_RATE").ok().and_then(|rate| rate.parse().ok());
    match rate {
        Some(per_second) => {
            Load { per_second, lasts: Duration::from_secs(10), timeout: Millis(5_000) }
        }
        None => Load { per_second: 400, lasts: Duration::from_secs(2), timeout: Millis(200) },
    }
}

/// Requests at a steady rate, whatever becomes of those before; how many failed for the user.
async fn run(address: SocketAddr, load: Load) -> (u64, u64) {
    let (sent, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let idle = Arc::new(Mutex::new(Vec::<Http>::new()));
    let mut ticks = interval(Duration::from_millis(5));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (began, mut tasks) = (Instant::now(), tokio::task::JoinSet::new());
    while began.elapsed() < load.lasts {
        ticks.tick().await;
        for _ in 0..load.per_second / 200 {
            let (idle, failed) = (Arc::clone(&idle), Arc::clone(&failed));
            let user = sent.fetch_add(1, Ordering::Relaxed) * 7_919 % USERS;
            tasks.spawn(async move {
                let kept = idle.lock().unwrap().pop();
                let mut http = match kept {
                    Some(http) => http,
                    None => Http::connect(address).await,
                };
                let request = Request::get("/").header("x-user", format!("u{user}"));
                match http.send(request.body(full("")).unwrap()).await {
                    Ok(answer) if answer.status.is_success() => idle.lock().unwrap().push(http),
                    _ => drop(failed.fetch_add(1, Ordering::Relaxed)),
                }
            });
        }
    }
    while tasks.join_next().await.is_some() {}
    (sent.load(Ordering::Relaxed), failed.load(Ordering::Relaxed))
}

/// The canary's share of `service` begins once everything is well; `refuses` closes it then.
async fn begin(mut service: ServiceRoute, refuses: Option<Backend>) -> (Proxy, SocketAddr) {
    let canary = service.canary.as_mut().unwrap();
    (canary.weight, canary.trips) = (Weight::ZERO, vec![rule()]);
    // What this is about is the shield and the guard, not the health checks.
    service.health.unhealthy_after = 1_000_000;
    let (proxy, address) = proxy(service.clone()).await;
    drop(refuses);
    let canary = service.canary.as_mut().unwrap();
    (canary.weight, canary.guard_key) = (Weight::percent(10), "rollout-1/2".to_owned());
    proxy.apply(snapshot(2, [service])).unwrap();
    (proxy, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_sees_a_canary_that_fails_every_get_before_it_answers() {
    let load = load();
    println!(
        "| the canary | requests | user-visible errors | canary requests until shut | shut after |"
    );
    println!("|---|---:|---:|---:|---:|");
    let kinds = [
        ("answers 503", Some(Fails::Answers(503))),
        ("refuses connections", None),
        ("resets", Some(Fails::Resets)),
        ("hangs", Some(Fails::Hangs)),
        ("answers half a body", Some(Fails::HalfABody)),
    ];
    for (name, fails) in kinds {
        let stable = Backend::named("v1").await;
        let closing = if fails.is_none() { Some(Backend::named("v2").await) } else { None };
        let canary = match (fails, &closing) {
            (Some(fails), _) => failing(fails).await,
            (None, closing) => closing.as_ref().unwrap().address,
        };
        let mut service = shielded(stable.address, canary);
        service.shield.as_mut().unwrap().timeout = load.timeout;
        let (proxy, address) = begin(service, closing).await;
        let (mut trips, began) = (proxy.trips(), Instant::now());
        let shut = tokio::spawn(async move { trips.recv().await.map(|_| began.elapsed()) });
        let (sent, failed) = run(address, load).await;
        until("it is over", || observed(&proxy, "shop").in_flight.is_empty()).await;
        let counts = counted(&proxy, "v2").counts;
        assert!(shut.is_finished(), "{name}: the gate was never shut: {counts:?}");
        let after = shut.await.unwrap().unwrap();
        println!("| {name} | {sent} | {failed} | {} | {after:.1?} |", counts.requests);
        assert_eq!(counts.failures, counts.requests, "{name}: it fails everything");
        let seen = if fails == Some(Fails::HalfABody) { counts.requests } else { 0 };
        assert_eq!((failed, counts.shielded), (seen, counts.requests - seen), "{name}");
    }
}
