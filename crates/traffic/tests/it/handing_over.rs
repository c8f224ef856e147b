//! One proxy takes over from another: its sockets, and what is known of its upstreams.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::Request;
use http::header::CONNECTION;
use rollout::units::Millis;
use tokio::task::JoinHandle;
use traffic::{Proxy, ProxySettings};

use crate::kit::{Backend, Http, canary, full, get, observed, proxy, shop, snapshot, track, until};

/// A proxy with so many threads that takes over from `old` and serves the same; `old` is told to
/// end.
fn take_over(
    old: &Proxy,
    threads: usize,
    serving: rollout::route::Snapshot,
) -> (Proxy, JoinHandle<()>) {
    let settings = ProxySettings { threads, ..ProxySettings::default() };
    let fresh = Proxy::start_with(settings, old.listening().unwrap()).unwrap();
    fresh.apply(serving).unwrap();
    fresh.assume(&old.observed());
    let old = old.clone();
    (fresh, tokio::spawn(async move { old.hand_over().await }))
}

/// Clients that ask one thing after the other, until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn begin(address: SocketAddr) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let client = |nth: u32| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut http = Http::connect(address).await;
                while !stop.load(Ordering::Relaxed) {
                    let answer = http.get("u").await;
                    assert_eq!(answer.text(), "v1");
                    answered.fetch_add(1, Ordering::Relaxed);
                    // Half of them keep their connection for as long as they may.
                    if nth.is_multiple_of(2) || answer.headers.contains_key(CONNECTION) {
                        http = Http::connect(address).await;
                    }
                }
            })
        };
        let clients = (0..8).map(client).collect();
        Self { stop, answered, clients }
    }

    async fn go_on(&self) {
        let enough = self.answered.load(Ordering::Relaxed) + 200;
        until("the load goes on", || self.answered.load(Ordering::Relaxed) >= enough).await;
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxies_that_take_over_one_after_the_other_lose_no_request_whatever_their_threads() {
    let v1 = Backend::named("v1").await;
    let serving = snapshot(1, [shop(v1.address)]);
    let (mut current, address) = proxy(shop(v1.address)).await;
    let load = Load::begin(address);
    for threads in [2, 1, 3, 2, 4, 1] {
        load.go_on().await;
        let (fresh, ended) = take_over(&current, threads, serving.clone());
        load.go_on().await;
        ended.await.unwrap();
        load.go_on().await;
        assert_eq!(observed(&fresh, "shop").listening, Some(address));
        current = fresh;
    }
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_connection_gets_one_more_answer_from_where_the_newest_snapshot_says() {
    let (v1, v2) = (Backend::named("v1").await, Backend::named("v2").await);
    let (old, address) = proxy(shop(v1.address)).await;
    let mut http = Http::connect(address).await;
    assert_eq!(http.get("u").await.text(), "v1");
    let (_fresh, ended) = take_over(&old, 2, snapshot(1, [shop(v1.address)]));
    assert_eq!(get(address, "u").await.text(), "v1");

    let mut service = shop(v1.address);
    service.stable = Some(track("v2", v2.address));
    let mut other = service.clone();
    other.service = "other".to_owned();
    other.listen = "127.0.0.1:1".to_owned();
    old.apply(snapshot(2, [service, other])).unwrap();
    let answer = http.get("u").await;
    assert_eq!((answer.text(), &answer.headers[CONNECTION]), ("v2", &"close".parse().unwrap()));
    let next = Request::get("/").body(full("")).unwrap();
    assert!(http.begin(next).await.is_err(), "the connection has ended with its answer");
    assert_eq!(observed(&old, "other").listening, None, "addresses are the other's business");
    ended.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_stays_silent_ends_within_the_drain() {
    let v1 = Backend::named("v1").await;
    let mut service = shop(v1.address);
    service.drain = Millis(100);
    let (old, address) = proxy(service.clone()).await;
    let mut http = Http::connect(address).await;
    http.get("u").await;
    let (_fresh, ended) = take_over(&old, 2, snapshot(1, [service]));
    ended.await.unwrap();
    let next = Request::get("/").body(full("")).unwrap();
    assert!(http.begin(next).await.is_err());
    assert_eq!(get(address, "u").await.text(), "v1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_was_healthy_keeps_its_share_from_the_first_request() {
    let (v1, v2) = (Backend::named("v1").await, Backend::named("v2").await);
    let mut service = shop(v1.address);
    service.canary = Some(canary(v2.address, 50));
    let (old, _) = proxy(service.clone()).await;
    // So seldom that no check of its own comes in between.
    service.health.every = Millis(600_000);
    let (fresh, _ended) = take_over(&old, 1, snapshot(1, [service]));
    assert_eq!(observed(&fresh, "shop").withheld, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_nobody_asks_for_any_more_is_closed() {
    let v1 = Backend::named("v1").await;
    let (old, address) = proxy(shop(v1.address)).await;
    let (_fresh, ended) = take_over(&old, 1, snapshot(1, []));
    ended.await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
