//! What the canary fails is answered by stable, where that is safe and still possible.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use rollout::route::{ServiceRoute, Shield, ShieldErrors};
use rollout::units::Millis;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use traffic::{Causes, Proxy};

use crate::blunt::{blunt, read_head};
use crate::kit::{
    Answer, Backend, Body, Http, canary, counted, full, observed, proxy, shop, status, until,
};

/// How a canary fails everything but its health checks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fails {
    Answers(u16),
    Hangs,
    Resets,
    HalfABody,
}

/// A server of which every connection fails so.
pub(crate) async fn failing(fails: Fails) -> SocketAddr {
    blunt(move |mut stream, _| async move {
        loop {
            let head = read_head(&mut stream).await;
            if head.is_empty() {
                return;
            }
            let answer = match fails {
                _ if head.starts_with("GET /health") => {
                    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
                }
                Fails::Answers(500) => "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nv2",
                Fails::Answers(_) => "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nv2",
                Fails::Hangs => return std::future::pending().await,
                Fails::Resets => return stream.set_zero_linger().unwrap(),
                Fails::HalfABody => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
            if answer.ends_with("half") {
                return;
            }
        }
    })
    .await
}

/// Answers with its name and what it was sent.
async fn echo() -> Backend {
    Backend::start(|request: Request<Incoming>| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(full([b"v1:", &body[..]].concat()))
    })
    .await
}

/// Everybody meets the canary, and stable stands behind it.
pub(crate) fn shielded(stable: SocketAddr, v2: SocketAddr) -> ServiceRoute {
    let shield = Shield {
        timeout: Millis(10_000),
        body_limit: 100_000,
        errors: ShieldErrors::Gateway,
        mark: false,
    };
    ServiceRoute { canary: Some(canary(v2, 100)), shield: Some(shield), ..shop(stable) }
}

async fn send(address: SocketAddr, method: Method, body: Body) -> hyper::Result<Answer> {
    let request = Request::builder().method(method).uri("/").body(body).unwrap();
    Http::connect(address).await.send(request).await
}

/// What was counted of the canary: requests, failures, shielded.
fn canary_counts(proxy: &Proxy) -> (u64, u64, u64) {
    let counts = counted(proxy, "v2").counts;
    (counts.requests, counts.failures, counts.shielded)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_before_the_answer_began_is_answered_by_stable_and_counted() {
    let stable = echo().await;
    for (fails, cause) in [
        (Fails::Answers(503), Causes { status: 1, ..Causes::default() }),
        (Fails::Hangs, Causes { timeout: 1, ..Causes::default() }),
        (Fails::Resets, Causes { reset: 1, ..Causes::default() }),
    ] {
        let mut service = shielded(stable.address, failing(fails).await);
        if fails == Fails::Hangs {
            service.shield.as_mut().unwrap().timeout = Millis(100);
        }
        let (proxy, address) = proxy(service).await;
        let answer = send(address, Method::GET, full("")).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "v1:"), "{fails:?}");
        assert!(!answer.headers.contains_key("sluice-shielded"));
        assert_eq!(canary_counts(&proxy), (1, 1, 1), "{fails:?}");
        assert_eq!(counted(&proxy, "v2").causes, cause, "{fails:?}");
        until("it is over", || observed(&proxy, "shop").in_flight.is_empty()).await;
        assert_eq!(counted(&proxy, "v1").counts.requests, 0, "stable is not judged by it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_refuses_connections_is_shielded() {
    let (stable, v2) = (echo().await, Backend::named("v2").await);
    let mut service = shielded(stable.address, v2.address);
    service.health.unhealthy_after = 1_000_000;
    let (proxy, address) = proxy(service).await;
    assert_eq!(send(address, Method::GET, full("")).await.unwrap().text(), "v2");
    drop(v2);
    let mut shielded = 0;
    for _ in 0..20 {
        let answer = send(address, Method::GET, full("")).await.unwrap();
        assert_eq!(answer.status, 200);
        shielded += u64::from(answer.text() == "v1:");
    }
    assert!(shielded > 0);
    assert_eq!(counted(&proxy, "v2").counts.shielded, shielded);
    assert!(counted(&proxy, "v2").causes.connect > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_body_cannot_be_taken_back() {
    let stable = echo().await;
    let service = shielded(stable.address, failing(Fails::HalfABody).await);
    let (proxy, address) = proxy(service).await;
    assert!(send(address, Method::GET, full("")).await.is_err());
    until("it is over", || observed(&proxy, "shop").in_flight.is_empty()).await;
    assert_eq!(canary_counts(&proxy), (1, 1, 0));
    assert_eq!(stable.requests(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_errors_are_passed_on_unless_all_are_asked_for_and_the_answer_may_say_so() {
    let stable = echo().await;
    let mut service = shielded(stable.address, failing(Fails::Answers(500)).await);
    let (own, address) = proxy(service.clone()).await;
    let answer = send(address, Method::GET, full("")).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.text()), (500, "v2"));
    assert_eq!(canary_counts(&own), (1, 1, 0));
    let shield = service.shield.as_mut().unwrap();
    (shield.errors, shield.mark) = (ShieldErrors::All, true);
    let (all, address) = proxy(service).await;
    let answer = send(address, Method::GET, full("")).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "v1:"));
    assert_eq!(answer.headers["sluice-shielded"], "1");
    assert_eq!(canary_counts(&all), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_may_happen_twice_is_sent_twice() {
    let stable = echo().await;
    let service = shielded(stable.address, failing(Fails::Resets).await);
    let (proxy, address) = proxy(service).await;
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE] {
        assert_eq!(send(address, method.clone(), full("")).await.unwrap().status, 200, "{method}");
    }
    for method in [Method::POST, Method::PATCH, Method::TRACE] {
        assert_eq!(send(address, method.clone(), full("")).await.unwrap().status, 502, "{method}");
    }
    assert_eq!(stable.requests(), 5);
    for (method, status) in [(Method::POST, 200), (Method::PATCH, 200), (Method::TRACE, 502)] {
        let request = Request::builder().method(method.clone()).uri("/");
        let request = request.header("idempotency-key", "k1").body(full("order")).unwrap();
        let answer = Http::connect(address).await.send(request).await.unwrap();
        assert_eq!(answer.status, status, "{method}");
        assert!(status == 502 || answer.text() == "v1:order");
    }
    assert_eq!(canary_counts(&proxy), (11, 11, 7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_sent_again_whole_when_the_canary_breaks_off_in_the_middle_of_it() {
    let stable = echo().await;
    let service = shielded(stable.address, failing(Fails::Resets).await);
    let (proxy, address) = proxy(service).await;
    // In pieces, with pauses: some come before the canary breaks off, and some after it.
    let pieces = futures_util::stream::unfold(0, |n| async move {
        tokio::time::sleep(Duration::from_millis(5)).await;
        (n < 40).then(|| (Ok(Frame::data(Bytes::from(format!("{n:04}")))), n + 1))
    });
    let answer = send(address, Method::PUT, StreamBody::new(pieces).boxed()).await.unwrap();
    let sent = (0..40).map(|n| format!("{n:04}")).collect::<Vec<_>>().concat();
    assert_eq!((answer.status.as_u16(), answer.text()), (200, &*format!("v1:{sent}")));
    assert_eq!(canary_counts(&proxy), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_over_the_limit_is_not_sent_again() {
    let stable = echo().await;
    // It takes the whole body before it fails.
    let v2 = Backend::start(|request: Request<Incoming>| async move {
        let _ = request.into_body().collect().await;
        status(503)
    })
    .await;
    let (proxy, address) = proxy(shielded(stable.address, v2.address)).await;
    for (bytes, expected) in [(100_000, 200), (100_001, 503)] {
        let answer = send(address, Method::PUT, full(vec![b'x'; bytes])).await.unwrap();
        assert_eq!(answer.status, expected, "{bytes} bytes, announced");
        assert!(expected == 503 || answer.body.len() == bytes + 3);
        let piece = futures_util::stream::iter([Ok(Frame::data(Bytes::from(vec![b'x'; bytes])))]);
        let answer = send(address, Method::PUT, StreamBody::new(piece).boxed()).await.unwrap();
        assert_eq!(answer.status, expected, "{bytes} bytes in a chunk");
    }
    assert_eq!(canary_counts(&proxy), (4, 4, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_stable_fails_too_its_answer_is_the_one_and_nobody_was_spared() {
    let stable = Backend::start(|_| async {
        Response::builder().status(500).body(full("stable's")).unwrap()
    })
    .await;
    let (proxy, address) =
        proxy(shielded(stable.address, failing(Fails::Answers(503)).await)).await;
    let answer = send(address, Method::GET, full("")).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.text()), (500, "stable's"));
    assert_eq!(canary_counts(&proxy), (1, 1, 0));
    drop(stable);
    let answer = send(address, Method::GET, full("")).await.unwrap();
    assert!(answer.status.is_server_error());
    assert_eq!(canary_counts(&proxy), (2, 2, 0));
    assert_eq!(counted(&proxy, "v1").counts.requests, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_is_slow_as_stable_is_has_not_failed() {
    let slow = |name: &'static str, millis| {
        Backend::start(move |_| async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            Response::new(full(name))
        })
    };
    let (stable, v2) = (slow("v1", 20_000).await, slow("v2", 600).await);
    let mut service = shielded(stable.address, v2.address);
    service.shield.as_mut().unwrap().timeout = Millis(100);
    let (proxy, address) = proxy(service).await;
    let answer = send(address, Method::GET, full("")).await.unwrap();
    assert_eq!(answer.text(), "v2");
    assert_eq!(stable.requests(), 1, "stable was asked");
    assert_eq!(canary_counts(&proxy), (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_gives_up_on_stable_takes_no_failure_of_the_canary_back() {
    let broke = Arc::new(AtomicBool::new(false));
    let says = Arc::clone(&broke);
    let canary = blunt(move |mut stream, _| {
        let says = Arc::clone(&says);
        async move {
            while let head = read_head(&mut stream).await
                && head.starts_with("GET /health")
            {
                let well = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(well.as_bytes()).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(400)).await;
            stream.set_zero_linger().unwrap();
            drop(stream);
            says.store(true, Ordering::Relaxed);
        }
    })
    .await;
    let stable = Backend::start(|_| std::future::pending()).await;
    let mut service = shielded(stable.address, canary);
    service.shield.as_mut().unwrap().timeout = Millis(100);
    let (proxy, address) = proxy(service).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until("the canary has failed", || broke.load(Ordering::Relaxed)).await;
    // Long enough for the proxy to have seen it.
    tokio::time::sleep(Duration::from_millis(500)).await;
    client.set_zero_linger().unwrap();
    drop(client);
    let counts = || counted(&proxy, "v2").counts;
    until("it is counted", || counts().requests + counts().client_gone > 0).await;
    assert_eq!((counts().requests, counts().failures, counts().client_gone), (1, 1, 0));
}
