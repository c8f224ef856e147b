//! Releases and services that leave, and the end.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::CONNECTION;
use http::{Request, Response};
use http_body_util::BodyExt;
use rollout::units::{Millis, Weight};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use traffic::Stopping;

use crate::kit::{
    Backend, Http, canary, counted, full, get, observed, proxy, shop, snapshot, track, until,
};

/// A release that answers one request for each permit.
async fn held(name: &'static str) -> (Backend, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let backend = Backend::start(move |_| {
        let opened = Arc::clone(&opened);
        async move {
            opened.acquire().await.unwrap().forget();
            Response::new(full(name))
        }
    })
    .await;
    (backend, gate)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_left_still_answers_what_it_was_asked() {
    let ((v1, gate), v2) = (held("v1").await, Backend::named("v2").await);
    let (proxy, address) = proxy(shop(v1.address)).await;
    let slow = tokio::spawn(async move { get(address, "slow").await });
    until("it is in flight", || v1.requests() == 1).await;
    let mut service = shop(v1.address);
    service.stable = Some(track("v2", v2.address));
    proxy.apply(snapshot(2, [service])).unwrap();
    assert_eq!(get(address, "quick").await.text(), "v2");
    assert_eq!(
        observed(&proxy, "shop").in_flight["v1"],
        1,
        "the deployer can see what to wait for"
    );
    gate.add_permits(1);
    assert_eq!(slow.await.unwrap().text(), "v1");
    until("nothing is left", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counted = counted(&proxy, "v1");
    assert_eq!((counted.counts.requests, counted.counts.failures, counted.cut), (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_outlasts_the_drain_is_cut_and_not_the_releases_failure() {
    let v2 = Backend::named("v2").await;
    let v1 = Backend::start(|_| async {
        let never = futures_util::stream::pending::<Result<hyper::body::Frame<bytes::Bytes>, _>>();
        Response::new(http_body_util::StreamBody::new(never).boxed())
    })
    .await;
    let mut service = shop(v1.address);
    service.drain = Millis(200);
    let (proxy, address) = proxy(service.clone()).await;
    let mut http = Http::connect(address).await;
    let answer = http.begin(Request::get("/").body(full("")).unwrap()).await.unwrap();
    service.stable = Some(track("v2", v2.address));
    proxy.apply(snapshot(2, [service])).unwrap();
    let body = answer.into_body().collect().await;
    assert!(body.is_err(), "the client must see the cut");
    until("nothing is left", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counted = counted(&proxy, "v1");
    assert_eq!((counted.counts.requests, counted.counts.failures, counted.cut), (1, 0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_connections_to_a_release_that_left_are_closed_long_before_the_drain_is_over() {
    let ((v1, gate), v2) = (held("v1").await, Backend::named("v2").await);
    let mut service = shop(v1.address);
    (service.drain, service.timeouts.idle) = (Millis(3_600_000), Millis(3_600_000));
    let (proxy, address) = proxy(service.clone()).await;
    let (mut idle, mut busy) = (Http::connect(address).await, Http::connect(address).await);
    let waiting = tokio::spawn(async move { idle.get("u").await });
    let slow = tokio::spawn(async move { busy.get("slow").await });
    until("both are in flight", || v1.requests() == 2).await;
    gate.add_permits(1);
    until("one is idle", || observed(&proxy, "shop").in_flight["v1"] == 1).await;
    service.stable = Some(track("v2", v2.address));
    proxy.apply(snapshot(2, [service])).unwrap();
    until("the idle one is closed", || v1.ended.load(Ordering::Relaxed) == 1).await;
    gate.add_permits(1);
    assert_eq!((waiting.await.unwrap().text(), slow.await.unwrap().text()), ("v1", "v1"));
    until("the busy one is closed", || v1.ended.load(Ordering::Relaxed) == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_outlasts_the_drain_unanswered_gets_a_503_and_is_no_failure() {
    let ((v1, gate), v2) = (held("v1").await, Backend::named("v2").await);
    let mut service = shop(v1.address);
    service.drain = Millis(200);
    let (proxy, address) = proxy(service.clone()).await;
    let mut http = Http::connect(address).await;
    gate.add_permits(1);
    assert_eq!(http.get("u").await.text(), "v1");
    let slow = tokio::spawn(async move { http.get("slow").await });
    until("it is in flight", || v1.requests() == 2).await;
    service.stable = Some(track("v2", v2.address));
    proxy.apply(snapshot(2, [service])).unwrap();
    let answer = slow.await.unwrap();
    let text = "the release that was to answer has left\n";
    assert_eq!((answer.status.as_u16(), answer.text()), (503, text));
    let counted = counted(&proxy, "v1");
    assert_eq!((counted.counts.requests, counted.counts.client_gone, counted.cut), (1, 0, 1));
    assert_eq!((counted.counts.failures, v1.requests()), (0, 2), "it is not sent again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_becomes_stable_keeps_its_connections_and_counters() {
    let (v1, v2) = (Backend::named("v1").await, Backend::named("v2").await);
    let mut service = shop(v1.address);
    service.canary = Some(canary(v2.address, 100));
    let (proxy, address) = proxy(service.clone()).await;
    let mut http = Http::connect(address).await;
    assert_eq!(http.get("u").await.text(), "v2");
    (service.stable, service.canary) = (Some(track("v2", v2.address)), None);
    proxy.apply(snapshot(2, [service])).unwrap();
    assert_eq!(http.get("u").await.text(), "v2");
    assert_eq!(v2.connections.load(Ordering::Relaxed), 1);
    assert_eq!(counted(&proxy, "v2").counts.requests, 2);
    assert_eq!(observed(&proxy, "shop").weight_in_force, Weight::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_leaves_closes_its_door_and_finishes_what_is_in_flight() {
    let (v1, gate) = held("v1").await;
    let (proxy, address) = proxy(shop(v1.address)).await;
    let mut idle = Http::connect(address).await;
    gate.add_permits(1);
    assert_eq!(idle.get("u").await.text(), "v1");
    let slow = tokio::spawn(async move { get(address, "slow").await });
    until("it is in flight", || v1.requests() == 2).await;
    proxy.apply(snapshot(2, [])).unwrap();
    let mut refused = false;
    for _ in 0..1_000 {
        refused |= TcpStream::connect(address).await.is_err();
        if refused {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(refused, "the door is closed");
    // It is closed, or about to be: who asks just then is told that it was the last time.
    let told = idle.send(Request::get("/").body(full("")).unwrap()).await;
    assert!(
        told.is_ok_and(|told| told.status == 503 && told.headers[CONNECTION] == "close")
            || idle.send(Request::get("/").body(full("")).unwrap()).await.is_err(),
        "idle connections are closed"
    );
    gate.add_permits(1);
    assert_eq!(slow.await.unwrap().text(), "v1");
    until("nothing is left", || proxy.observed().services.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_moves_to_another_address_and_two_may_swap() {
    let (v1, v2) = (Backend::named("v1").await, Backend::named("v2").await);
    let (proxy, first) = proxy(shop(v1.address)).await;
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (mut shop, mut bar) = (shop(v1.address), crate::kit::shop(v2.address));
    bar.service = "bar".to_owned();
    let (one, two) = (free(), free());
    (shop.listen, bar.listen) = (one.to_string(), two.to_string());
    proxy.apply(snapshot(2, [shop.clone(), bar.clone()])).unwrap();
    assert_eq!((get(one, "u").await.text(), get(two, "u").await.text()), ("v1", "v2"));
    let mut kept = Http::connect(one).await;
    assert_eq!(kept.get("u").await.text(), "v1");
    (shop.listen, bar.listen) = (two.to_string(), one.to_string());
    proxy.apply(snapshot(3, [shop, bar])).unwrap();
    assert_eq!((get(one, "u").await.text(), get(two, "u").await.text()), ("v2", "v1"));
    until("the old door is closed", || std::net::TcpStream::connect(first).is_err()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_waits_for_what_is_in_flight_and_refuses_what_is_new() {
    let (v1, gate) = held("v1").await;
    let (proxy, address) = proxy(shop(v1.address)).await;
    let slow = tokio::spawn(async move { get(address, "slow").await });
    until("it is in flight", || v1.requests() == 1).await;
    let stopped = Arc::new(AtomicBool::new(false));
    let (stopping, done) = (proxy.clone(), Arc::clone(&stopped));
    let stop = tokio::spawn(async move {
        stopping.stop().await;
        done.store(true, Ordering::Relaxed);
    });
    until("the door is closed", || std::net::TcpStream::connect(address).is_err()).await;
    assert!(!stopped.load(Ordering::Relaxed), "a request is still in flight");
    assert!(matches!(proxy.apply(snapshot(2, [])), Err(Stopping)));
    gate.add_permits(1);
    assert_eq!(slow.await.unwrap().text(), "v1");
    stop.await.unwrap();
    assert_eq!(counted(&proxy, "v1").counts.requests, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_at_the_door_when_it_closes_is_still_answered() {
    let v1 = Backend::named("v1").await;
    for _ in 0..20 {
        let (proxy, address) = proxy(shop(v1.address)).await;
        let clients = tokio::task::spawn_blocking(move || {
            let ask = |_| {
                let mut client = std::net::TcpStream::connect(address).unwrap();
                client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
                client
            };
            (0..16).map(ask).collect::<Vec<_>>()
        });
        let clients = clients.await.unwrap();
        proxy.stop().await;
        assert_eq!(counted(&proxy, "v1").counts.requests, 16);
        for mut client in clients {
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("v1"), "{answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_at_the_door_of_a_service_that_leaves_is_told_that_none_serves() {
    let v1 = Backend::named("v1").await;
    let mut told = 0;
    for _ in 0..20 {
        let (proxy, address) = proxy(shop(v1.address)).await;
        let clients = tokio::task::spawn_blocking(move || {
            let ask = |_| {
                let mut client = std::net::TcpStream::connect(address).unwrap();
                client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
                client
            };
            (0..16).map(ask).collect::<Vec<_>>()
        });
        let clients = clients.await.unwrap();
        proxy.apply(snapshot(2, [])).unwrap();
        for mut client in clients {
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            let status = answer.split(' ').nth(1).unwrap_or_default();
            assert!(["200", "503"].contains(&status), "{answer:?}");
            told += u32::from(status == "503");
        }
    }
    assert!(told > 0, "nobody was late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_end_of_the_proxy_cuts_is_neither_gone_nor_complete() {
    let v1 = Backend::start(|request| async move {
        if request.uri().path() == "/silent" {
            std::future::pending::<()>().await;
        }
        let never = futures_util::stream::pending::<Result<hyper::body::Frame<bytes::Bytes>, _>>();
        Response::new(http_body_util::StreamBody::new(never).boxed())
    })
    .await;
    let mut service = shop(v1.address);
    service.drain = Millis(200);
    let (proxy, address) = proxy(service).await;
    let (mut silent, mut endless) = (Http::connect(address).await, Http::connect(address).await);
    let asked = Request::get("/silent").body(full("")).unwrap();
    let unanswered = tokio::spawn(async move { silent.send(asked).await });
    let answer = endless.begin(Request::get("/").body(full("")).unwrap()).await.unwrap();
    until("both are in flight", || v1.requests() == 2).await;
    proxy.stop().await;
    assert!(unanswered.await.unwrap().is_err() && answer.into_body().collect().await.is_err());
    let counted = counted(&proxy, "v1");
    assert_eq!((counted.counts.client_gone, counted.cut), (0, 2));
    assert_eq!((counted.counts.requests, counted.counts.failures), (1, 0));
}
