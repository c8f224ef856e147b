//! Taking snapshots: order, listeners, refusals.

use rollout::units::Weight;
use traffic::{Applied, Proxy, ProxySettings};

use crate::kit::{Backend, canary, get, observed, proxy, shop, snapshot, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_not_newer_is_ignored() {
    let (v1, v2) = (Backend::named("v1").await, Backend::named("v2").await);
    let service = shop(v1.address);
    let (proxy, address) = proxy(service.clone()).await;
    let mut newer = service.clone();
    newer.canary = Some(canary(v2.address, 100));
    assert_eq!(proxy.apply(snapshot(5, [newer])).unwrap(), Applied::Applied);
    for seq in [1, 4, 5] {
        assert_eq!(proxy.apply(snapshot(seq, [service.clone()])).unwrap(), Applied::Ignored);
    }
    assert_eq!(proxy.generation(), snapshot(5, []).generation);
    until("the canary is well", || observed(&proxy, "shop").weight_in_force == Weight::FULL).await;
    assert_eq!(get(address, "u").await.text(), "v2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_named_with_its_cause_and_what_serves_goes_on() {
    let v1 = Backend::named("v1").await;
    let (proxy, address) = proxy(shop(v1.address)).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let blocker = std::net::TcpListener::bind(taken).unwrap();
    let mut other = shop(v1.address);
    other.service = "other".to_owned();
    other.listen = taken.to_string();
    let refused =
        proxy.apply(snapshot(2, [shop(v1.address), other.clone()])).unwrap_err().to_string();
    let expected =
        format!("service \"other\" cannot listen on {taken}: Address already in use (os error 98)");
    assert_eq!(refused, expected);
    assert_eq!(proxy.generation(), snapshot(1, []).generation);
    assert_eq!(get(address, "u").await.text(), "v1");
    drop(blocker);
    assert_eq!(proxy.apply(snapshot(2, [shop(v1.address), other])).unwrap(), Applied::Applied);
    assert_eq!(get(taken, "u").await.text(), "v1");
    assert_eq!(get(address, "u").await.text(), "v1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_proxies_do_not_share_a_port_by_accident() {
    let v1 = Backend::named("v1").await;
    let (_proxy, address) = proxy(shop(v1.address)).await;
    let second = Proxy::start(ProxySettings { threads: 1, ..ProxySettings::default() }).unwrap();
    let mut service = shop(v1.address);
    service.listen = address.to_string();
    let refused = second.apply(snapshot(1, [service])).unwrap_err().to_string();
    assert!(refused.contains("Address already in use"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_a_snapshot_are_named() {
    let proxy = Proxy::start(ProxySettings { threads: 1, ..ProxySettings::default() }).unwrap();
    let good = shop("127.0.0.1:9".parse().unwrap());
    let refused = |change: &dyn Fn(&mut rollout::route::ServiceRoute)| {
        let mut service = good.clone();
        change(&mut service);
        proxy.apply(snapshot(1, [service])).unwrap_err().to_string()
    };
    assert_eq!(
        refused(&|service| service.stable.as_mut().unwrap().upstreams = vec!["nowhere".to_owned()]),
        "service \"shop\" upstream \"nowhere\" of release \"v1\" is no host:port"
    );
    assert_eq!(
        refused(&|service| service.latency_limits_us = vec![5, 5]),
        "service \"shop\" latency limits [5, 5] are not ascending"
    );
    assert_eq!(
        refused(&|service| service.health.path = "health".to_owned()),
        "service \"shop\" health path \"health\" is no path that starts with /"
    );
    assert_eq!(
        proxy.apply(snapshot(1, [good.clone(), good])).unwrap_err().to_string(),
        "service \"shop\" is named twice"
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
