//! Copies of requests to a canary that has no users.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use rollout::evidence::Mirrored;
use rollout::route::ServiceRoute;
use rollout::units::Weight;
use traffic::Proxy;

use crate::kit::{Backend, Http, canary, counted, full, proxy, shop, snapshot, status, until};

fn service(stable: SocketAddr, v2: SocketAddr, percent: u32) -> ServiceRoute {
    let mut service = shop(stable);
    let mut canary = canary(v2, 0);
    canary.mirror = Weight::percent(percent);
    service.canary = Some(canary);
    service
}

fn mirrored(proxy: &Proxy) -> Mirrored {
    counted(proxy, "v2").counts.mirrored.map(|it| *it).unwrap_or_default()
}

/// Of the latencies only how many there are, since those are the machine's.
fn figures(proxy: &Proxy) -> (Mirrored, [u64; 2]) {
    let mut found = mirrored(proxy);
    let sum = |latency: Vec<(u16, u64)>| latency.iter().map(|(_, count)| count).sum();
    let latencies = [sum(found.stable_latency), sum(found.copy_latency)];
    (found.stable_latency, found.copy_latency) = (Vec::new(), Vec::new());
    (found, latencies)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn safe_requests_are_copied_and_their_statuses_compared() {
    let marked = Arc::new(Mutex::new(Vec::new()));
    let (at_v1, at_v2) = (Arc::clone(&marked), Arc::clone(&marked));
    let field = |request: &Request<hyper::body::Incoming>, name: &str| {
        request.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    let v1 = Backend::start(move |request| {
        at_v1.lock().unwrap().push(("v1", field(&request, "sluice-mirror"), None));
        async { Response::new(full("v1")) }
    })
    .await;
    let v2 = Backend::start(move |request| {
        let told = (field(&request, "sluice-mirror"), field(&request, "authorization"));
        at_v2.lock().unwrap().push(("v2", told.0, told.1));
        let gone = request.uri().path() == "/gone";
        async move { if gone { status(404) } else { Response::new(full("v2")) } }
    })
    .await;
    let (proxy, address) = proxy(service(v1.address, v2.address, 100)).await;
    let mut http = Http::connect(address).await;
    // Plain ones, and one that hyper serves.
    for (method, path, kind) in [
        (Method::GET, "/", "text/plain"),
        (Method::HEAD, "/gone?a=b", "text/plain"),
        (Method::OPTIONS, "/gone", "application/grpc"),
        (Method::POST, "/", "text/plain"),
        (Method::DELETE, "/", "application/grpc"),
    ] {
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        let request = request.header("authorization", "me").header("sluice-mirror", "1");
        let answer = http.send(request.body(full("")).unwrap()).await.unwrap();
        assert_eq!(answer.status, 200, "{path}");
    }
    until("all are compared", || mirrored(&proxy).compared == 3).await;
    let pairs = vec![(200, 404, 2)];
    let expected = Mirrored { sent: 3, compared: 3, different: 2, pairs, ..Mirrored::default() };
    assert_eq!(figures(&proxy), (expected, [3, 3]));
    let marked = marked.lock().unwrap();
    let of = |name| marked.iter().filter(move |told| told.0 == name);
    assert_eq!((of("v1").count(), of("v2").count()), (5, 3));
    assert!(of("v1").all(|told| told.1.is_none()), "a client cannot say it: {marked:?}");
    assert!(of("v2").all(|told| told.1.as_deref() == Some("1") && told.2.as_deref() == Some("me")));
    let counted = counted(&proxy, "v2");
    assert_eq!((counted.counts.requests, counted.bytes_out, counted.classes), (0, 0, [0; 5]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_answers_nothing_is_nothing_to_clients() {
    let v1 = Backend::named("v1").await;
    let v2 = Backend::start(|_| std::future::pending()).await;
    let (proxy, address) = proxy(service(v1.address, v2.address, 100)).await;
    let mut http = Http::connect(address).await;
    for _ in 0..100 {
        assert_eq!(http.get("u").await.text(), "v1");
    }
    let found = mirrored(&proxy);
    assert_eq!((found.sent, found.dropped, found.compared), (64, 36, 0), "on one thread");
    assert_eq!(counted(&proxy, "v1").counts.failures, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_is_copied_and_nothing_once_the_gate_is_shut_or_no_copy_is_asked_for() {
    let (v1, v2) = (Backend::named("v1").await, Backend::named("v2").await);
    let (proxy, address) = proxy(service(v1.address, v2.address, 50)).await;
    let mut http = Http::connect(address).await;
    for _ in 0..200 {
        http.get("u").await;
    }
    until("all are compared", || mirrored(&proxy).compared == mirrored(&proxy).sent).await;
    let found = mirrored(&proxy);
    assert!((60..140).contains(&found.sent), "{found:?}");
    assert_eq!((found.different, found.dropped), (0, 0));
    proxy.apply(snapshot(2, [service(v1.address, v2.address, 0)])).unwrap();
    http.get("u").await;
    proxy.apply(snapshot(3, [service(v1.address, v2.address, 100)])).unwrap();
    assert!(proxy.shut("shop"));
    http.get("u").await;
    assert_eq!(mirrored(&proxy).sent, found.sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_not_answered_counts_as_the_502_a_client_would_have_got() {
    let v1 = Backend::named("v1").await;
    let v2 = Backend::start(|_| async { panic!("the connection breaks") }).await;
    let (proxy, address) = proxy(service(v1.address, v2.address, 100)).await;
    let mut http = Http::connect(address).await;
    assert_eq!(http.get("u").await.text(), "v1");
    until("it is compared", || mirrored(&proxy).compared == 1).await;
    assert_eq!(mirrored(&proxy).pairs, [(200, 502, 1)]);
}
