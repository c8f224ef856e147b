//! Shares, stickiness, and changes of weight under load.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::header::{COOKIE, SET_COOKIE};
use http::{Request, Response};
use rollout::route::Sticky;
use rollout::units::Weight;
use traffic::{Health, Withheld};

use crate::kit::{
    Backend, Http, canary, counted, full, get, observed, proxy, shop, snapshot, track, until,
};

/// Who served each of so many users.
async fn serve_users(address: SocketAddr, users: u32) -> BTreeMap<u32, bool> {
    let mut tasks = Vec::new();
    for part in 0..8 {
        tasks.push(tokio::spawn(async move {
            let mut http = Http::connect(address).await;
            let mut served = Vec::new();
            for user in (part..users).step_by(8) {
                let answer = http.get(&format!("user-{user}")).await;
                assert_eq!(answer.status, 200);
                served.push((user, answer.text() == "v2"));
            }
            served
        }));
    }
    let mut all = BTreeMap::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_keep_to_the_weight_and_no_user_changes_back() {
    const USERS: u32 = 10_000;
    let (v1, v2) = (Backend::named("v1").await, Backend::named("v2").await);
    let mut service = shop(v1.address);
    service.canary = Some(canary(v2.address, 1));
    let (proxy, address) = proxy(service.clone()).await;
    let mut before: BTreeMap<u32, bool> = BTreeMap::new();
    for (seq, percent) in [(2, 1), (3, 10), (4, 100)] {
        service.canary.as_mut().unwrap().weight = Weight::percent(percent);
        proxy.apply(snapshot(seq, [service.clone()])).unwrap();
        let now = serve_users(address, USERS).await;
        let share = now.values().map(|canary| f64::from(u8::from(*canary))).sum::<f64>();
        let expected = f64::from(USERS) * f64::from(percent) / 100.0;
        let five_sigma = 5.0 * (expected * (1.0 - f64::from(percent) / 100.0)).sqrt();
        assert!((share - expected).abs() <= five_sigma, "{share} of {USERS} at {percent} %");
        let back = before.iter().filter(|(user, canary)| **canary && !now[user]).count();
        assert_eq!(back, 0, "users who changed back at {percent} %");
        before = now;
    }
    let (stable, new) = (counted(&proxy, "v1"), counted(&proxy, "v2"));
    assert_eq!(stable.counts.requests + new.counts.requests, 3 * u64::from(USERS));
    assert_eq!(stable.counts.requests, v1.requests());
    assert_eq!(stable.counts.failures + new.counts.failures, 0);
    let recorded: u64 = new.counts.latency.iter().map(|(_, count)| count).sum();
    assert_eq!(recorded, new.counts.requests);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weights_change_under_load_without_a_failed_request() {
    let (v1, v2) = (Backend::named("v1").await, Backend::named("v2").await);
    let mut service = shop(v1.address);
    service.canary = Some(canary(v2.address, 1));
    let (proxy, address) = proxy(service.clone()).await;
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    for client in 0..8 {
        let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
        tasks.push(tokio::spawn(async move {
            let mut http = Http::connect(address).await;
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                n += 1;
                assert_eq!(http.get(&format!("{client}-{n}")).await.status, 200);
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for seq in 2..60 {
        let weight = Weight::percent(u32::try_from(seq * 37 % 101).unwrap());
        service.canary.as_mut().unwrap().weight = weight;
        proxy.apply(snapshot(seq, [service.clone()])).unwrap();
        let target = sent.load(Ordering::Relaxed) + 100;
        until("load goes on", || sent.load(Ordering::Relaxed) >= target).await;
    }
    // The new release takes over for good, and the old one leaves, still under load.
    service.stable = Some(track("v2", v2.address));
    service.canary = None;
    proxy.apply(snapshot(100, [service])).unwrap();
    let target = sent.load(Ordering::Relaxed) + 500;
    until("load goes on", || sent.load(Ordering::Relaxed) >= target).await;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    let (old, new) = (counted(&proxy, "v1"), counted(&proxy, "v2"));
    assert_eq!(old.counts.requests + new.counts.requests, sent.load(Ordering::Relaxed));
    assert_eq!(old.counts.failures + new.counts.failures, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_without_the_cookie_gets_one_and_stays_on_one_side() {
    let (v1, v2) = (Backend::named("v1").await, Backend::named("v2").await);
    let mut service = shop(v1.address);
    service.sticky = Sticky::Cookie("sluice".to_owned());
    service.canary = Some(canary(v2.address, 50));
    let (_proxy, address) = proxy(service).await;
    let mut http = Http::connect(address).await;
    let mut sides = BTreeMap::new();
    for _ in 0..64 {
        let first = http.send(Request::get("/").body(full("")).unwrap()).await.unwrap();
        let cookie = first.headers[SET_COOKIE].to_str().unwrap().to_owned();
        assert!(cookie.ends_with("; Path=/; Max-Age=2592000; SameSite=Lax; HttpOnly"), "{cookie}");
        let key = cookie.split(';').next().unwrap().to_owned();
        for _ in 0..3 {
            let again =
                Request::get("/").header(COOKIE, format!("a=1; {key}")).body(full("")).unwrap();
            let again = http.send(again).await.unwrap();
            assert_eq!(again.text(), first.text());
            assert!(!again.headers.contains_key(SET_COOKIE));
        }
        *sides.entry(first.text().to_owned()).or_insert(0) += 1;
    }
    assert_eq!(sides.len(), 2, "64 new users at 50 % all met one side: {sides:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unhealthy_canary_gets_no_share_until_it_is_well() {
    let v1 = Backend::named("v1").await;
    let well = Arc::new(AtomicBool::new(false));
    let health = Arc::clone(&well);
    let v2 = Backend::with_health(
        |_| async { http::Response::new(full("v2")) },
        move || health.load(Ordering::Relaxed),
    )
    .await;
    let mut service = shop(v1.address);
    service.canary = Some(canary(v2.address, 100));
    let (proxy, address) = proxy(service).await;
    for user in 0..50 {
        assert_eq!(get(address, &format!("u{user}")).await.text(), "v1");
    }
    let seen = observed(&proxy, "shop");
    assert_eq!(seen.withheld, Some(Withheld::NoHealthyUpstream));
    assert_eq!((seen.weight_asked, seen.weight_in_force), (Weight::FULL, Weight::ZERO));
    well.store(true, Ordering::Relaxed);
    until("the canary is well", || observed(&proxy, "shop").weight_in_force == Weight::FULL).await;
    assert_eq!(get(address, "u").await.text(), "v2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unhealthy_stable_is_still_tried_and_its_share_stays_its_own() {
    let v2 = Backend::named("v2").await;
    let v1 = Backend::with_health(|_| async { http::Response::new(full("v1")) }, || false).await;
    let mut service = shop(v1.address);
    service.canary = Some(canary(v2.address, 0));
    let (proxy, address) = proxy(service).await;
    assert_eq!(observed(&proxy, "shop").upstreams[0].health, Health::Unhealthy);
    for user in 0..20 {
        assert_eq!(get(address, &format!("u{user}")).await.text(), "v1");
    }
    assert_eq!(v2.requests(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_controller_gives_the_share_to_stable_that_serves_well_until_it_is_back() {
    let well = Arc::new(AtomicBool::new(true));
    let says = Arc::clone(&well);
    let stable = |_| async { Response::new(full("v1")) };
    let v1 = Backend::with_health(stable, move || says.load(Ordering::Relaxed)).await;
    let v2 = Backend::named("v2").await;
    let mut service = shop(v1.address);
    service.canary = Some(canary(v2.address, 100));
    let (proxy, address) = proxy(service).await;
    let mut http = Http::connect(address).await;
    assert_eq!(http.get("u").await.text(), "v2");
    proxy.lose_controller(true);
    assert_eq!(http.get("u").await.text(), "v1");
    let seen = observed(&proxy, "shop");
    assert_eq!(seen.withheld, Some(Withheld::LostController));
    assert_eq!((seen.weight_asked, seen.weight_in_force), (Weight::percent(100), Weight::ZERO));
    well.store(false, Ordering::Relaxed);
    until("stable is unwell", || observed(&proxy, "shop").withheld.is_none()).await;
    assert_eq!(http.get("u").await.text(), "v2", "an unwell stable is no better place");
    well.store(true, Ordering::Relaxed);
    until("stable is well", || observed(&proxy, "shop").withheld.is_some()).await;
    proxy.lose_controller(false);
    assert_eq!(http.get("u").await.text(), "v2");
}
