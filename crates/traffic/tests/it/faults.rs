//! Releases and clients that fail, each in its own way, and how that is counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use rollout::units::Millis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use traffic::Causes;

use crate::blunt::{blunt, read_head};
use crate::kit::{Backend, Http, counted, full, get, observed, proxy, raw, shop, status, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_refuses_connections_is_a_502_and_a_connect_failure() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (proxy, address) = proxy(shop(closed)).await;
    let answer = get(address, "u").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (502, "the service cannot be reached\n"));
    let counted = counted(&proxy, "v1");
    assert_eq!(
        (counted.counts.requests, counted.counts.failures, counted.classes),
        (1, 1, [0, 0, 0, 0, 1])
    );
    assert_eq!(counted.causes, Causes { connect: 1, ..Causes::default() });
    assert_eq!(counted.counts.slower_than, [1], "a failure is slower than every limit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_byte_that_is_late_is_a_504_and_a_timeout() {
    let v1 = Backend::start(|_| async {
        std::future::pending::<()>().await;
        status(200)
    })
    .await;
    let mut service = shop(v1.address);
    service.timeouts.first_byte = Millis(100);
    let (proxy, address) = proxy(service).await;
    let answer = get(address, "u").await;
    assert_eq!(
        (answer.status.as_u16(), answer.text()),
        (504, "the service did not answer in time\n")
    );
    let counted = counted(&proxy, "v1");
    assert_eq!((counted.counts.requests, counted.causes.timeout, counted.causes.sum()), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ends_before_the_answer_is_a_502_and_a_reset() {
    let silent = blunt(|mut stream, _| async move {
        read_head(&mut stream).await;
    })
    .await;
    let garbled = blunt(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(b"what?\r\n\r\n").await.unwrap();
    })
    .await;
    for upstream in [silent, garbled] {
        let (proxy, address) = proxy(shop(upstream)).await;
        let answer = get(address, "u").await;
        assert_eq!((answer.status.as_u16(), answer.text()), (502, "the service broke off\n"));
        let counted = counted(&proxy, "v1");
        assert_eq!(
            (counted.counts.requests, counted.causes.reset, counted.causes.sum()),
            (1, 1, 1)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_breaks_or_stalls_is_one_request_and_one_failure() {
    let breaks = blunt(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await.unwrap();
    })
    .await;
    let stalls = blunt(|mut stream, _| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    for upstream in [breaks, stalls] {
        let mut service = shop(upstream);
        service.timeouts.idle = Millis(300);
        let (proxy, address) = proxy(service).await;
        let mut http = Http::connect(address).await;
        let sent = http.send(Request::get("/").body(full("")).unwrap()).await;
        assert!(sent.is_err(), "the client must see that the answer is cut: {sent:?}");
        until("it is over", || observed(&proxy, "shop").in_flight.is_empty()).await;
        let counted = counted(&proxy, "v1");
        assert_eq!(
            (counted.counts.requests, counted.causes.broken_body, counted.causes.sum()),
            (1, 1, 1)
        );
        assert_eq!((counted.classes, counted.bytes_out), ([0, 1, 0, 0, 0], 4));
        assert_eq!(counted.counts.slower_than, [1]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_5xx_are_failures_and_4xx_are_not() {
    let v1 =
        Backend::start(|request| async move { status(request.uri().path()[1..].parse().unwrap()) })
            .await;
    let (proxy, address) = proxy(shop(v1.address)).await;
    let mut http = Http::connect(address).await;
    for code in [200, 204, 301, 404, 429, 499, 500, 503] {
        let answer =
            http.send(Request::get(format!("/{code}")).body(full("")).unwrap()).await.unwrap();
        assert_eq!(answer.status.as_u16(), code);
    }
    let counted = counted(&proxy, "v1");
    assert_eq!((counted.counts.requests, counted.classes), (8, [0, 2, 1, 3, 2]));
    assert_eq!(counted.causes, Causes { status: 2, ..Causes::default() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_answers_are_counted_exactly_above_each_limit() {
    let v1 = Backend::start(|request| async move {
        let millis = request.uri().path()[1..].parse().unwrap();
        tokio::time::sleep(Duration::from_millis(millis)).await;
        status(200)
    })
    .await;
    let mut service = shop(v1.address);
    service.latency_limits_us = vec![150_000, 5_000_000];
    let (proxy, address) = proxy(service).await;
    let mut http = Http::connect(address).await;
    for path in ["/0", "/160", "/170"] {
        http.send(Request::get(path).body(full("")).unwrap()).await.unwrap();
    }
    let counts = counted(&proxy, "v1").counts;
    assert_eq!(counts.slower_than[1], 0);
    assert!(counts.slower_than[0] >= 2, "{counts:?}");
    let slow = rollout::evidence::histogram::bucket_of(155_000);
    let in_histogram: u64 =
        counts.latency.iter().filter(|(bucket, _)| *bucket >= slow).map(|(_, n)| n).sum();
    assert!(in_histogram >= 2, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_resets_while_it_waits_is_gone_and_nobodys_failure() {
    let v1 = Backend::start(|_| async {
        std::future::pending::<()>().await;
        status(200)
    })
    .await;
    let (proxy, address) = proxy(shop(v1.address)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until("it is in flight", || v1.requests() == 1).await;
    stream.set_zero_linger().unwrap();
    drop(stream);
    until("it is over", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counted = counted(&proxy, "v1");
    assert_eq!(
        (counted.counts.client_gone, counted.counts.requests, counted.counts.failures),
        (1, 0, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_its_upload_is_gone_and_nobodys_failure() {
    let v1 = Backend::start(|request| async {
        let _ = request.into_body().collect().await;
        status(200)
    })
    .await;
    let (proxy, address) = proxy(shop(v1.address)).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf";
    let answer = raw(address, head.as_bytes(), true).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer:?}");
    until("it is over", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counted = counted(&proxy, "v1");
    assert_eq!(
        (counted.counts.client_gone, counted.counts.requests, counted.counts.failures),
        (1, 0, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_only_closes_its_sending_half_gets_its_answer() {
    let v1 = Backend::start(|_| async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Response::new(full("x".repeat(3_000_000)))
    })
    .await;
    let (proxy, address) = proxy(shop(v1.address)).await;
    let answer = raw(address, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer:?}");
    assert!(answer.len() > 3_000_000, "{} bytes", answer.len());
    assert_eq!(counted(&proxy, "v1").counts.requests, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_in_the_middle_of_an_answer_is_nobodys_failure() {
    let v1 = Backend::start(|_| async {
        let endless =
            futures_util::stream::repeat_with(|| Ok(Frame::data(Bytes::from(vec![0; 65_536]))));
        Response::new(StreamBody::new(endless).boxed())
    })
    .await;
    let (proxy, address) = proxy(shop(v1.address)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    stream.read_exact(&mut vec![0; 100_000]).await.unwrap();
    drop(stream);
    until("it is over", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counted = counted(&proxy, "v1");
    assert_eq!(
        (counted.counts.requests, counted.counts.failures, counted.counts.client_gone),
        (1, 0, 0)
    );
}

/// Serves one request a connection and then closes it without saying so, right when the
/// next request on it has come; counts the requests that came.
async fn stale(came: Arc<AtomicU64>) -> SocketAddr {
    blunt(move |mut stream, _| {
        let came = Arc::clone(&came);
        async move {
            let first = read_head(&mut stream).await;
            if first.starts_with("GET /health") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                return;
            }
            came.fetch_add(1, Ordering::Relaxed);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            if !read_head(&mut stream).await.is_empty() {
                came.fetch_add(1, Ordering::Relaxed);
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_kept_connection_costs_a_repeatable_request_nothing() {
    let came = Arc::new(AtomicU64::new(0));
    let (proxy, address) = proxy(shop(stale(Arc::clone(&came)).await)).await;
    let mut http = Http::connect(address).await;
    for n in 0..20 {
        assert_eq!(http.get(&format!("u{n}")).await.text(), "ok");
    }
    assert!(came.load(Ordering::Relaxed) > 20, "no kept connection was ever stale");
    let counts = counted(&proxy, "v1").counts;
    assert_eq!((counts.requests, counts.failures), (20, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_may_have_had_an_effect_is_not_sent_twice() {
    let came = Arc::new(AtomicU64::new(0));
    let (proxy, address) = proxy(shop(stale(Arc::clone(&came)).await)).await;
    let mut http = Http::connect(address).await;
    assert_eq!(http.get("u").await.text(), "ok");
    let posted = http.send(Request::post("/").body(full("")).unwrap()).await.unwrap();
    assert_eq!(posted.status, 502);
    assert_eq!(came.load(Ordering::Relaxed), 2);
    let counted = counted(&proxy, "v1");
    assert_eq!((counted.counts.requests, counted.causes.reset), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_head_and_an_idle_connection_are_closed() {
    let v1 = Backend::named("v1").await;
    let mut service = shop(v1.address);
    (service.timeouts.head, service.timeouts.idle) = (Millis(200), Millis(400));
    let (proxy, address) = proxy(service).await;
    assert_eq!(raw(address, b"", false).await, "", "a client that says nothing");
    assert_eq!(raw(address, b"GET / HTTP/1.1\r\nHos", false).await, "", "a head that does not end");
    let answer = raw(address, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", false).await;
    assert!(answer.ends_with("v1"), "a kept connection that does nothing: {answer:?}");
    // A head that drips gets no more time than one that stalls.
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
    let mut drips = 0;
    while stream.write_all(b"x").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        drips += 1;
        assert!(drips < 1_500, "a dripping head is never cut");
    }
    assert_eq!(counted(&proxy, "v1").counts.requests, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_may_take_longer_than_the_idle_limit_to_answer() {
    let v1 = Backend::start(|_| async {
        tokio::time::sleep(Duration::from_millis(900)).await;
        Response::new(full("late"))
    })
    .await;
    let mut service = shop(v1.address);
    service.timeouts.idle = Millis(200);
    let (_proxy, address) = proxy(service).await;
    assert_eq!(get(address, "u").await.text(), "late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_before_the_end_of_the_upload_reaches_the_client() {
    let v1 = Backend::start(|_| async {
        Response::builder().status(413).body(full("too much")).unwrap()
    })
    .await;
    let (proxy, address) = proxy(shop(v1.address)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        .await
        .unwrap();
    stream.write_all(&[0; 1_000]).await.unwrap();
    let mut answer = vec![0; 64];
    let count = stream.read(&mut answer).await.unwrap();
    assert!(
        answer[..count].starts_with(b"HTTP/1.1 413 "),
        "{:?}",
        String::from_utf8_lossy(&answer)
    );
    drop(stream);
    until("it is over", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counted = counted(&proxy, "v1");
    assert_eq!((counted.counts.requests, counted.counts.failures, counted.classes[3]), (1, 0, 1));
}
