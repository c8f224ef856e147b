//! What happens on the wire when a head is malformed, ambiguous or too large.

use std::sync::{Arc, Mutex};

use http::{HeaderMap, Response};

use crate::kit::{Backend, counted, full, proxy, raw, shop, status};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_smuggled_second_request_is_refused_after_the_first_is_answered() {
    let v1 = Backend::named("v1").await;
    let (_proxy, address) = proxy(shop(v1.address)).await;
    let two = "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = raw(address, two.as_bytes(), false).await;
    let first = answer.find("HTTP/1.1 200 OK").unwrap();
    let second = answer.find("HTTP/1.1 400 Bad Request").unwrap();
    assert!(first < second, "{answer:?}");
    assert_eq!(v1.requests(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_chunks_are_the_clients_fault() {
    let v1 = Backend::start(|request| async {
        let _ = http_body_util::BodyExt::collect(request.into_body()).await;
        Response::new(full("v1"))
    })
    .await;
    let (proxy, address) = proxy(shop(v1.address)).await;
    for chunks in
        ["3\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "-1\r\nabc\r\n", "3 \r\nabc\r\n0\r\n\r\n"]
    {
        let request =
            format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let answer = raw(address, request.as_bytes(), false).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{chunks:?}: {answer:?}");
    }
    crate::kit::until("all are over", || crate::kit::observed(&proxy, "shop").in_flight.is_empty())
        .await;
    let counts = counted(&proxy, "v1").counts;
    assert_eq!((counts.requests, counts.failures, counts.client_gone), (0, 0, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connect_and_star_targets_are_answered() {
    let v1 = Backend::start(|request| async move {
        let hosts = request.headers().get_all("host").iter().count();
        status(if hosts == 1 { 200 } else { 400 })
    })
    .await;
    let (_proxy, address) = proxy(shop(v1.address)).await;
    for (request, expected) in [
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "HTTP/1.1 501 "),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 "),
        ("GET http://a/path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 "),
        ("GET http://a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 "),
        ("GET http://b/path HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 "),
        ("GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 "),
    ] {
        let answer = raw(address, request.as_bytes(), false).await;
        assert!(answer.starts_with(expected), "{request:?}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_beyond_the_limits_are_refused_with_431() {
    let v1 = Backend::named("v1").await;
    let (_proxy, address) = proxy(shop(v1.address)).await;
    let fields = |count: usize| "X-Field: 1\r\n".repeat(count);
    let request =
        |fields: &str| format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
    for (fields, expected) in [
        (fields(98), "HTTP/1.1 200 "),
        (fields(99), "HTTP/1.1 431 "),
        (format!("X: {}\r\n", "x".repeat(60 * 1024)), "HTTP/1.1 200 "),
        (format!("X: {}\r\n", "x".repeat(64 * 1024)), "HTTP/1.1 431 "),
    ] {
        let answer = raw(address, request(&fields).as_bytes(), false).await;
        assert!(answer.starts_with(expected), "{} bytes: {answer:?}", fields.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_of_the_connection_are_removed_both_ways_and_the_origin_is_set() {
    let seen = Arc::new(Mutex::new(HeaderMap::new()));
    let kept = Arc::clone(&seen);
    let v1 = Backend::start(move |request| {
        kept.lock().unwrap().clone_from(request.headers());
        async {
            Response::builder()
                .header("connection", "x-private")
                .header("x-private", "1")
                .header("keep-alive", "timeout=5")
                .header("server", "theirs")
                .header("date", "Thu, 01 Jan 1970 00:00:00 GMT")
                .body(full("v1"))
                .unwrap()
        }
    })
    .await;
    let (_proxy, address) = proxy(shop(v1.address)).await;
    let request = "GET /a HTTP/1.1\r\nHost: shop.example\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\n\
                   Proxy-Connection: keep-alive\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\
                   X-Real-IP: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nX-Forwarded-Port: 6\r\nX-Kept: 1\r\n\r\n";
    let answer = raw(address, request.as_bytes(), false).await.to_ascii_lowercase();
    assert!(!answer.contains("x-private") && !answer.contains("keep-alive"), "{answer}");
    for kept in ["server: theirs\r\n", "date: thu, 01 jan 1970 00:00:00 gmt\r\n"] {
        assert!(answer.contains(kept), "{answer}");
    }
    let seen = seen.lock().unwrap();
    let claims = ["x-real-ip", "x_forwarded_for", "x-forwarded-port"];
    for gone in ["connection", "x-secret", "proxy-connection"].into_iter().chain(claims) {
        assert!(!seen.contains_key(gone), "{gone} in {seen:?}");
    }
    for (name, value) in [
        ("host", "shop.example"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "shop.example"),
        ("forwarded", "for=127.0.0.1;proto=http"),
        ("via", "1.1 sluice"),
        ("x-kept", "1"),
    ] {
        assert_eq!(seen[name], value, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_is_its_own_upstream_answers_508_and_counts_a_failure() {
    let v1 = Backend::named("v1").await;
    let (proxy, address) = proxy(shop(v1.address)).await;
    let mut circular = shop(address);
    circular.listen = "127.0.0.1:0".to_owned();
    proxy.apply(crate::kit::snapshot(2, [circular])).unwrap();
    let answer =
        raw(address, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false).await;
    assert!(answer.starts_with("HTTP/1.1 508 "), "{answer:?}");
    let counts = counted(&proxy, "v1").counts;
    assert!(counts.requests >= 8 && counts.failures >= 8, "{counts:?}");
}
