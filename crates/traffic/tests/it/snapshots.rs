//! Taking snapshots: order, listeners, refusals.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rollout::route::{ServiceRoute, Snapshot};
use rollout::units::Weight;
use traffic::{Applied, Proxy, ProxySettings};

use crate::kit::{Backend, canary, get, observed, proxy, shop, snapshot, status, until};

/// Why services of a snapshot that is in force now are not served as asked.
fn refused(proxy: &Proxy, snapshot: Snapshot) -> Vec<String> {
    match proxy.apply(snapshot).unwrap() {
        Applied::InForce(refused) => refused.iter().map(ToString::to_string).collect(),
        Applied::Ignored => panic!("it is newer, or was not served whole"),
    }
}

fn named(service: &ServiceRoute, name: &str, listen: &str) -> ServiceRoute {
    ServiceRoute { service: name.to_owned(), listen: listen.to_owned(), ..service.clone() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_not_newer_is_ignored() {
    let (v1, v2) = (Backend::named("v1").await, Backend::named("v2").await);
    let service = shop(v1.address);
    let (proxy, address) = proxy(service.clone()).await;
    let mut newer = service.clone();
    newer.canary = Some(canary(v2.address, 100));
    assert_eq!(refused(&proxy, snapshot(5, [newer])), [""; 0]);
    for seq in [1, 4, 5] {
        let applied = proxy.apply(snapshot(seq, [service.clone()])).unwrap();
        assert!(matches!(applied, Applied::Ignored), "{applied:?}");
    }
    assert_eq!(proxy.generation(), snapshot(5, []).generation);
    until("the canary is well", || observed(&proxy, "shop").weight_in_force == Weight::FULL).await;
    assert_eq!(get(address, "u").await.text(), "v2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_named_with_its_cause_and_every_other_service_is_served() {
    let (v1, v2) = (Backend::named("v1").await, Backend::named("v2").await);
    let (proxy, address) = proxy(shop(v1.address)).await;
    let blocker = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = blocker.local_addr().unwrap();
    let changed = shop(v2.address);
    let services = [named(&changed, "other", &taken.to_string()), changed.clone()];
    let why =
        format!("service \"other\" cannot listen on {taken}: Address already in use (os error 98)");
    assert_eq!(refused(&proxy, snapshot(2, services.clone())), std::slice::from_ref(&why));
    assert_eq!(proxy.generation(), snapshot(2, []).generation);
    assert_eq!(proxy.observed().refused["other"], why);
    assert_eq!(get(address, "u").await.text(), "v2");
    assert_eq!(refused(&proxy, snapshot(2, services.clone())), [why]);
    drop(blocker);
    assert_eq!(refused(&proxy, snapshot(2, services)), [""; 0]);
    assert!(proxy.observed().refused.is_empty());
    assert_eq!(get(taken, "u").await.text(), "v2");
    assert_eq!(get(address, "u").await.text(), "v2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_cannot_move_is_served_anew_where_it_was() {
    let (v1, v2) = (Backend::named("v1").await, Backend::named("v2").await);
    let (proxy, address) = proxy(shop(v1.address)).await;
    let blocker = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let moved = named(&shop(v2.address), "shop", &blocker.local_addr().unwrap().to_string());
    assert_eq!(refused(&proxy, snapshot(2, [moved.clone()])).len(), 1);
    assert_eq!(get(address, "u").await.text(), "v2");
    // Where another service is to listen there now, that one does.
    let heir = named(&shop(v1.address), "heir", "127.0.0.1:0");
    assert_eq!(refused(&proxy, snapshot(3, [moved, heir])).len(), 1);
    assert_eq!(get(address, "u").await.text(), "v1");
    assert_eq!(observed(&proxy, "shop").listening, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_no_service_keeps_what_it_has() {
    let v1 = Backend::named("v1").await;
    let (proxy, address) = proxy(shop(v1.address)).await;
    let mut broken = shop(v1.address);
    broken.latency_limits_us = vec![5, 5];
    let other = named(&shop(v1.address), "other", "localhost:0");
    assert_eq!(refused(&proxy, snapshot(2, [broken, other])).len(), 1);
    assert_eq!(get(address, "u").await.text(), "v1");
    assert_eq!(get(observed(&proxy, "other").listening.unwrap(), "u").await.text(), "v1");
    assert_eq!(observed(&proxy, "shop").upstreams[0].health, traffic::Health::Healthy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_proxies_do_not_share_a_port_by_accident() {
    let v1 = Backend::named("v1").await;
    let (_proxy, address) = proxy(shop(v1.address)).await;
    let second = Proxy::start(ProxySettings { threads: 1, ..ProxySettings::default() }).unwrap();
    let mut service = shop(v1.address);
    service.listen = address.to_string();
    let refused = refused(&second, snapshot(1, [service]));
    assert!(refused[0].contains("Address already in use"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_a_snapshot_are_named() {
    let proxy = Proxy::start(ProxySettings { threads: 1, ..ProxySettings::default() }).unwrap();
    let good = shop("127.0.0.1:9".parse().unwrap());
    let fault = |change: &dyn Fn(&mut rollout::route::ServiceRoute)| {
        let mut service = good.clone();
        change(&mut service);
        refused(&proxy, snapshot(1, [service])).concat()
    };
    assert_eq!(
        fault(&|service| service.stable.as_mut().unwrap().upstreams = vec!["nowhere".to_owned()]),
        "service \"shop\" upstream \"nowhere\" of release \"v1\" is no host:port"
    );
    assert_eq!(
        fault(&|service| service.latency_limits_us = vec![5, 5]),
        "service \"shop\" latency limits [5, 5] are not ascending"
    );
    assert_eq!(
        fault(&|service| service.health.path = "health".to_owned()),
        "service \"shop\" health path \"health\" is no path that starts with /"
    );
    assert_eq!(
        refused(&proxy, snapshot(1, [good.clone(), good])),
        ["service \"shop\" is named twice"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_release_the_answer_is_503_and_counted_apart() {
    let mut service = shop("127.0.0.1:9".parse().unwrap());
    service.stable = None;
    let (proxy, address) = proxy(service).await;
    let answer = get(address, "u").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (503, "no release serves here\n"));
    let shop = proxy.counters().services.remove("shop").unwrap_or_default();
    assert_eq!(shop.unserved, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_named_twice_is_one_upstream_with_one_check() {
    let checks = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&checks);
    let count = move || seen.fetch_add(1, Ordering::Relaxed) < u64::MAX;
    let v1 = Backend::with_health(|_| async { status(200) }, count).await;
    let mut service = shop(v1.address);
    let address = v1.address.to_string();
    service.stable.as_mut().unwrap().upstreams = vec![address.clone(), address];
    let (proxy, _) = proxy(service.clone()).await;
    for seq in 2..10 {
        proxy.apply(snapshot(seq, [service.clone()])).unwrap();
    }
    let upstreams = observed(&proxy, "shop").upstreams;
    assert_eq!(upstreams.len(), 1, "{upstreams:?}");
    proxy.apply(snapshot(10, [])).unwrap();
    let mut quiet = false;
    for _ in 0..50 {
        let before = checks.load(Ordering::Relaxed);
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
        quiet |= checks.load(Ordering::Relaxed) == before;
        if quiet {
            break;
        }
    }
    assert!(quiet, "nobody is asked any more");
}
