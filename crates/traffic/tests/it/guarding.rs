//! The guard against a canary that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use rollout::units::Weight;
use traffic::Withheld;

use crate::kit::{
    Backend, Http, canary, counted, observed, proxy, rule, shop, snapshot, status, until,
};

/// When the canary last got a request and when it got the third, as microseconds since the
/// start; 0 means never.
struct Times {
    start: Instant,
    seen: AtomicU64,
    third: AtomicU64,
    last: AtomicU64,
}

impl Times {
    fn note(&self) {
        let now = u64::try_from(self.start.elapsed().as_micros()).unwrap();
        if self.seen.fetch_add(1, Ordering::Relaxed) == 2 {
            self.third.store(now, Ordering::Relaxed);
        }
        self.last.store(now, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_fails_everything_at_one_percent_is_shut_out_within_20_requests() {
    let times = Times {
        start: Instant::now(),
        seen: AtomicU64::new(0),
        third: AtomicU64::new(0),
        last: AtomicU64::new(0),
    };
    let times = Arc::new(times);
    let noted = Arc::clone(&times);
    let v1 = Backend::named("v1").await;
    let v2 = Backend::start(move |_| {
        noted.note();
        async { status(500) }
    })
    .await;
    let mut service = shop(v1.address);
    service.canary = Some(canary(v2.address, 1));
    service.canary.as_mut().unwrap().trips = vec![rule()];
    let (proxy, address) = proxy(service.clone()).await;
    let mut trips = proxy.trips();
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for client in 0..8 {
        let stop = Arc::clone(&stop);
        tasks.push(tokio::spawn(async move {
            let mut http = Http::connect(address).await;
            let (mut n, mut failed) = (0, 0);
            while !stop.load(Ordering::Relaxed) {
                n += 1;
                failed += u64::from(http.get(&format!("{client}-{n}")).await.status == 500);
            }
            failed
        }));
    }
    let report = tokio::time::timeout(std::time::Duration::from_secs(30), trips.recv()).await;
    let report = report.expect("the gate is shut").unwrap();
    let after = counted(&proxy, "v1").counts.requests + 20_000;
    until("load goes on", || counted(&proxy, "v1").counts.requests >= after).await;
    stop.store(true, Ordering::Relaxed);
    let mut failed = 0;
    for task in tasks {
        failed += task.await.unwrap();
    }
    let micros = times.last.load(Ordering::Relaxed) - times.third.load(Ordering::Relaxed);
    println!(
        "canary requests before the gate was shut: {}; {} us from the third failure to the last new request \
         ({} us by the proxy's own count)",
        v2.requests(),
        micros,
        report.third_failure_to_shut_us.unwrap()
    );
    assert_eq!(failed, v2.requests());
    assert!(v2.requests() <= 20, "{} requests reached the canary", v2.requests());
    assert_eq!((report.service.as_str(), report.release.as_str()), ("shop", "v2"));
    assert_eq!((report.gate.as_str(), report.guard_key.as_str()), ("error_rate", "rollout-1/1"));
    assert_eq!(report.numbers.canary.bad, report.numbers.canary.total);
    assert!(report.numbers.absolute >= report.ln_threshold);
    assert!(report.numbers.relative.unwrap() >= report.ln_threshold);
    assert_eq!(counted(&proxy, "v2").causes.status, v2.requests());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shut_gate_opens_only_for_another_stretch_or_after_weight_zero() {
    let (v1, v2) = (Backend::named("v1").await, Backend::named("v2").await);
    let mut service = shop(v1.address);
    service.canary = Some(canary(v2.address, 100));
    let (proxy, address) = proxy(service.clone()).await;
    let mut http = Http::connect(address).await;
    assert_eq!(http.get("u").await.text(), "v2");

    assert!(proxy.shut("shop"));
    assert!(!proxy.shut("shop") && !proxy.shut("nobody"));
    assert_eq!(http.get("u").await.text(), "v1");
    let seen = observed(&proxy, "shop");
    assert_eq!(seen.withheld, Some(Withheld::Tripped { guard_key: "rollout-1/1".to_owned() }));
    assert_eq!((seen.weight_asked, seen.weight_in_force), (Weight::FULL, Weight::ZERO));

    proxy.apply(snapshot(2, [service.clone()])).unwrap();
    assert_eq!(http.get("u").await.text(), "v1", "the same stretch stays shut");
    service.canary.as_mut().unwrap().guard_key = "rollout-1/2".to_owned();
    proxy.apply(snapshot(3, [service.clone()])).unwrap();
    assert_eq!(http.get("u").await.text(), "v2", "another stretch is open");

    assert!(proxy.shut("shop"));
    service.canary.as_mut().unwrap().weight = Weight::ZERO;
    proxy.apply(snapshot(4, [service.clone()])).unwrap();
    service.canary.as_mut().unwrap().weight = Weight::FULL;
    proxy.apply(snapshot(5, [service])).unwrap();
    assert_eq!(http.get("u").await.text(), "v2", "weight zero ended the trip");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_user_in_a_retry_loop_does_not_shut_the_gate() {
    let v1 = Backend::named("v1").await;
    let v2 = Backend::start(|_| async { status(500) }).await;
    let mut service = shop(v1.address);
    service.canary = Some(canary(v2.address, 100));
    service.canary.as_mut().unwrap().trips = vec![rule()];
    let (proxy, address) = proxy(service).await;
    let mut http = Http::connect(address).await;
    for _ in 0..500 {
        assert_eq!(http.get("one user").await.status, 500);
    }
    assert_eq!(observed(&proxy, "shop").withheld, None);
    for user in 0..100 {
        http.get(&format!("u{user}")).await;
    }
    until("many users shut it", || observed(&proxy, "shop").withheld.is_some()).await;
}
