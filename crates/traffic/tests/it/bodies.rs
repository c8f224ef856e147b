//! Bodies on their way, and the connections that carry them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::{Semaphore, mpsc};

use crate::kit::{Backend, Body, Http, counted, full, observed, proxy, shop, until};

/// A body whose pieces are sent from outside.
fn dripping() -> (mpsc::UnboundedSender<Bytes>, Body) {
    let (pieces, mut taken) = mpsc::unbounded_channel::<Bytes>();
    let stream = futures_util::stream::poll_fn(move |cx| {
        taken.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    });
    (pieces, StreamBody::new(stream).boxed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_an_upstream_are_kept_and_used_again() {
    let v1 = Backend::named("v1").await;
    let (_proxy, address) = proxy(shop(v1.address)).await;
    let mut http = Http::connect(address).await;
    for n in 0..200 {
        assert_eq!(http.get(&format!("u{n}")).await.text(), "v1");
    }
    assert_eq!(v1.requests(), 200);
    assert_eq!(v1.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_that_drips_arrives_piece_by_piece() {
    let (pieces, body) = dripping();
    let body = std::sync::Mutex::new(Some(body));
    let v1 = Backend::start(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async { Response::new(body) }
    })
    .await;
    let (proxy, address) = proxy(shop(v1.address)).await;
    let mut http = Http::connect(address).await;
    let answer = http.begin(Request::get("/").body(full("")).unwrap()).await.unwrap();
    let mut body = answer.into_body();
    for piece in ["first", "second", "third"] {
        pieces.send(Bytes::from_static(piece.as_bytes())).unwrap();
        let arrived = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(arrived, piece);
        assert_eq!(observed(&proxy, "shop").in_flight["v1"], 1);
    }
    drop(pieces);
    assert!(body.frame().await.is_none());
    until("it is over", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counted = counted(&proxy, "v1");
    assert_eq!((counted.counts.requests, counted.counts.failures, counted.bytes_out), (1, 0, 16));
    assert_eq!(counted.latency_to_last.iter().map(|(_, count)| count).sum::<u64>(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_upload_waits_for_a_slow_release_instead_of_filling_memory() {
    const PIECE: usize = 64 * 1024;
    const PIECES: u64 = 1024;
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let v1 = Backend::start(move |request| {
        let opened = Arc::clone(&opened);
        async move {
            let _permit = opened.acquire().await.unwrap();
            let mut body = request.into_body();
            let mut total = 0;
            while let Some(frame) = body.frame().await {
                total += frame.unwrap().data_ref().map_or(0, Bytes::len);
            }
            Response::new(full(total.to_string()))
        }
    })
    .await;
    let (proxy, address) = proxy(shop(v1.address)).await;
    let taken = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&taken);
    let pieces = futures_util::stream::iter((0..PIECES).map(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(Frame::data(Bytes::from(vec![7; PIECE])))
    }));
    let request = Request::post("/").body(StreamBody::new(pieces).boxed()).unwrap();
    let mut http = Http::connect(address).await;
    let answer = tokio::spawn(async move { http.send(request).await.unwrap() });
    // The release reads nothing: what is under way is what sockets and buffers hold.
    let mut before = u64::MAX;
    while before != taken.load(Ordering::Relaxed) {
        before = taken.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(before < PIECES / 2, "{before} of {PIECES} pieces were taken although nobody reads");
    gate.add_permits(1);
    let total = PIECES * PIECE as u64;
    assert_eq!(answer.await.unwrap().text(), total.to_string());
    assert_eq!(counted(&proxy, "v1").counts.requests, 1);
    until("it is over", || counted(&proxy, "v1").bytes_in == total).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_a_body_keep_their_head_and_their_connection() {
    let v1 = Backend::start(|request| async move {
        let status = if request.uri().path() == "/304" { 304 } else { 200 };
        let answer = Response::builder().status(status).header("etag", "\"x\"");
        let body = if status == 304 { "" } else { "0123456789" };
        answer.body(full(body)).unwrap()
    })
    .await;
    let (proxy, address) = proxy(shop(v1.address)).await;
    let mut http = Http::connect(address).await;
    for _ in 0..20 {
        let head = Request::builder().method(Method::HEAD).uri("/").body(full("")).unwrap();
        let answer = http.send(head).await.unwrap();
        assert_eq!((answer.headers["content-length"].as_bytes(), answer.text()), (&b"10"[..], ""));
        let answer = http.send(Request::get("/304").body(full("")).unwrap()).await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), answer.headers["etag"].as_bytes()),
            (304, &b"\"x\""[..])
        );
    }
    assert_eq!(v1.connections.load(Ordering::Relaxed), 1);
    assert_eq!(
        counted(&proxy, "v1").latency_to_last.iter().map(|(_, count)| count).sum::<u64>(),
        40
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_pass_both_ways() {
    let v1 = Backend::start(|request| async {
        let sent = request.into_body().collect().await.unwrap();
        let mut trailers = http::HeaderMap::new();
        let told = sent.trailers().and_then(|trailers| trailers.get("x-sum")).cloned();
        trailers.insert("x-told", told.unwrap_or(http::HeaderValue::from_static("nothing")));
        let frames = [Ok(Frame::data(sent.to_bytes())), Ok(Frame::trailers(trailers))];
        let body = StreamBody::new(futures_util::stream::iter(frames));
        Response::builder().header("trailer", "x-told").body(body.boxed()).unwrap()
    })
    .await;
    let (_proxy, address) = proxy(shop(v1.address)).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: x-sum\r\nConnection: close\r\n\
                   Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 42\r\n\r\n";
    let answer = crate::kit::raw(address, request.as_bytes(), false).await;
    assert!(answer.ends_with("5\r\nhello\r\n0\r\nx-told: 42\r\n\r\n"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_before_it_uploads_is_told_to_go_on() {
    let v1 = Backend::start(|request| async {
        assert!(!request.headers().contains_key("expect"));
        Response::new(full(request.into_body().collect().await.unwrap().to_bytes()))
    })
    .await;
    let (_proxy, address) = proxy(shop(v1.address)).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    let answer = crate::kit::raw(address, head.as_bytes(), false).await;
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"), "{answer:?}");
    assert!(answer.ends_with("hello"), "{answer:?}");
}
