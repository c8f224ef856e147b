//! HTTP/2 from clients that know we speak it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rollout::units::Millis;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use traffic::{AccessLog, Proxy, ProxySettings};

use crate::kit::{
    Backend, Body, canary, counted, full, observed, proxy, shop, snapshot, track, until,
};

/// A client with one connection, which ends when the task does.
async fn connect(address: SocketAddr) -> (SendRequest<Body>, tokio::task::JoinHandle<()>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(async { drop(connection.await) }))
}

fn get(path: &str) -> Request<Body> {
    Request::get(format!("http://shop.example{path}")).body(full("")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_share_one_connection_and_reach_the_release_as_http1() {
    let v1 = Backend::start(|request| async move {
        let seen = format!(
            "{} {:?} {} {} {}",
            request.uri(),
            request.version(),
            request.headers()["host"].to_str().unwrap(),
            request.headers()["via"].to_str().unwrap(),
            request.headers()["cookie"].to_str().unwrap(),
        );
        let sent = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(full(format!("{seen} {}", sent.len())))
    })
    .await;
    let (proxy, address) = proxy(shop(v1.address)).await;
    let (sender, _connection) = connect(address).await;
    let requests = (0..100_usize).map(|n| {
        let request = Request::post(format!("http://shop.example/buy?n={n}"))
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .body(full(vec![b'x'; n * 1_000]));
        let mut sender = sender.clone();
        async move {
            sender.ready().await.unwrap();
            let answer = sender.send_request(request.unwrap()).await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_2));
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let expected =
                format!("/buy?n={n} HTTP/1.1 shop.example 2 sluice a=1; b=2 {}", n * 1_000);
            assert_eq!(body, expected.as_bytes());
        }
    });
    join_all(requests).await;
    until("all are over", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counted = counted(&proxy, "v1");
    assert_eq!((counted.counts.requests, counted.counts.failures), (100, 0));
    assert_eq!((counted.classes, counted.bytes_in), ([0, 100, 0, 0, 0], 4_950_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_and_answers_without_a_body_pass() {
    let v1 = Backend::start(|request| async move {
        if request.method() == Method::HEAD {
            return Response::builder().header("content-length", "10").body(full("")).unwrap();
        }
        let sent = request.into_body().collect().await.unwrap();
        let mut trailers = HeaderMap::new();
        let told = sent.trailers().and_then(|trailers| trailers.get("x-sum")).cloned();
        trailers.insert("x-told", told.unwrap_or(HeaderValue::from_static("nothing")));
        let frames = [Ok(Frame::data(sent.to_bytes())), Ok(Frame::trailers(trailers))];
        let body = StreamBody::new(futures_util::stream::iter(frames));
        Response::builder().header("trailer", "x-told").body(body.boxed()).unwrap()
    })
    .await;
    let (_proxy, address) = proxy(shop(v1.address)).await;
    let (mut sender, _connection) = connect(address).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("42"));
    let frames = [Ok(Frame::data(Bytes::from_static(b"hello"))), Ok(Frame::trailers(trailers))];
    let body = StreamBody::new(futures_util::stream::iter(frames)).boxed();
    let request = Request::post("http://a/").header("te", "trailers").header("trailer", "x-sum");
    let answer = sender.send_request(request.body(body).unwrap()).await.unwrap();
    let answer = answer.into_body().collect().await.unwrap();
    assert_eq!(answer.trailers().unwrap()["x-told"], "42");
    assert_eq!(answer.to_bytes(), "hello");
    let mut head = get("/");
    *head.method_mut() = Method::HEAD;
    let answer = sender.send_request(head).await.unwrap();
    assert_eq!(answer.headers()["content-length"], "10");
    assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_the_client_resets_is_nobodys_failure_and_harms_no_other() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let v1 = Backend::start(move |_| {
        let opened = Arc::clone(&opened);
        async move {
            opened.acquire().await.unwrap().forget();
            Response::new(full("v1"))
        }
    })
    .await;
    let (proxy, address) = proxy(shop(v1.address)).await;
    let (mut sender, _connection) = connect(address).await;
    let gone = tokio::spawn(sender.send_request(get("/gone")));
    let stays = tokio::spawn(sender.send_request(get("/stays")));
    until("both are in flight", || v1.requests() == 2).await;
    gone.abort();
    until("it is counted", || counted(&proxy, "v1").counts.client_gone == 1).await;
    gate.add_permits(2);
    assert_eq!(stays.await.unwrap().unwrap().status(), 200);
    until("all are over", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counts = counted(&proxy, "v1").counts;
    assert_eq!((counts.requests, counts.failures, counts.client_gone), (1, 0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_weight_needs_no_new_connection_and_a_service_that_leaves_says_goodbye() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let v2 = Backend::named("v2").await;
    let v1 = Backend::start(move |_| {
        let opened = Arc::clone(&opened);
        async move {
            opened.acquire().await.unwrap().forget();
            Response::new(full("v1"))
        }
    })
    .await;
    let mut service = shop(v1.address);
    let (proxy, address) = proxy(service.clone()).await;
    let (mut sender, connection) = connect(address).await;
    let slow = tokio::spawn(sender.send_request(get("/slow")));
    until("it is in flight", || v1.requests() == 1).await;
    service.canary = Some(canary(v2.address, 100));
    proxy.apply(snapshot(2, [service.clone()])).unwrap();
    until("the canary serves", || observed(&proxy, "shop").weight_in_force.steps() == 100_000)
        .await;
    let answer = sender.send_request(get("/")).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "v2");
    (service.stable, service.canary) = (Some(track("v2", v2.address)), None);
    proxy.apply(snapshot(3, [service])).unwrap();
    proxy.apply(snapshot(4, [])).unwrap();
    let mut told = false;
    for _ in 0..1_000 {
        told = sender.send_request(get("/late")).await.is_err();
        if told {
            break;
        }
    }
    assert!(told, "the client is told to go");
    gate.add_permits(1);
    let answer = slow.await.unwrap().unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "v1");
    connection.await.unwrap();
    until("nothing is left", || proxy.observed().services.is_empty()).await;
    assert_eq!(counted(&proxy, "v1").counts.failures, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_streams_is_closed_after_the_idle_limit() {
    let v1 = Backend::named("v1").await;
    let mut service = shop(v1.address);
    service.timeouts.idle = Millis(100);
    let (_proxy, address) = proxy(service).await;
    let (mut sender, connection) = connect(address).await;
    assert_eq!(sender.send_request(get("/")).await.unwrap().status(), 200);
    connection.await.unwrap();
    assert!(sender.is_closed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_stands_still_is_the_clients_fault() {
    let v1 = Backend::start(|request| async {
        let _ = request.into_body().collect().await;
        Response::new(full("v1"))
    })
    .await;
    let mut service = shop(v1.address);
    service.timeouts.idle = Millis(200);
    let (proxy, address) = proxy(service).await;
    let (mut sender, _connection) = connect(address).await;
    let first = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"first")))]);
    let stalls = futures_util::StreamExt::chain(first, futures_util::stream::pending());
    let request = Request::post("http://a/").body(StreamBody::new(stalls).boxed()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 400);
    until("it is over", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counts = counted(&proxy, "v1").counts;
    assert_eq!((counts.requests, counts.failures, counts.client_gone), (0, 0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_answer_nobody_takes_is_ended_and_the_others_go_on() {
    let v1 = Backend::start(|request| async move {
        let size = if request.uri().path() == "/large" { 8 << 20 } else { 10 };
        Response::new(full(vec![b'x'; size]))
    })
    .await;
    let mut service = shop(v1.address);
    service.timeouts.idle = Millis(300);
    let (proxy, address) = proxy(service).await;
    let (mut sender, _connection) = connect(address).await;
    let untouched = sender.send_request(get("/large")).await.unwrap();
    for _ in 0..1_000 {
        assert_eq!(sender.send_request(get("/small")).await.unwrap().status(), 200);
        if observed(&proxy, "shop").in_flight.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(observed(&proxy, "shop").in_flight.is_empty(), "the large one was ended");
    assert!(untouched.into_body().collect().await.is_err(), "and the client can tell");
    assert_eq!(counted(&proxy, "v1").counts.failures, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_for_heads() {
    let v1 = Backend::named("v1").await;
    let (_proxy, address) = proxy(shop(v1.address)).await;
    let (mut sender, _connection) = connect(address).await;
    let sized = |bytes: usize| {
        Request::get("http://a/").header("x", "x".repeat(bytes)).body(full("")).unwrap()
    };
    assert_eq!(sender.send_request(sized(60 * 1024)).await.unwrap().status(), 200);
    let mut many = get("/");
    for n in 0..101 {
        let name: http::HeaderName = format!("x-{n}").parse().unwrap();
        many.headers_mut().insert(name, HeaderValue::from_static("1"));
    }
    assert_eq!(sender.send_request(many).await.unwrap().status(), 431);
    assert_eq!(sender.send_request(sized(70 * 1024)).await.unwrap().status(), 431);
    assert_eq!(v1.requests.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_access_log_names_the_version() {
    let v1 = Backend::named("v1").await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let access_log = Some(AccessLog::File(path.clone()));
    let proxy = Proxy::start(ProxySettings { threads: 1, access_log }).unwrap();
    proxy.apply(snapshot(1, [shop(v1.address)])).unwrap();
    let address = observed(&proxy, "shop").listening.unwrap();
    let (mut sender, _connection) = connect(address).await;
    let answer = sender.send_request(get("/x")).await.unwrap();
    answer.into_body().collect().await.unwrap();
    let mut text = String::new();
    until("the line is written", || {
        text = std::fs::read_to_string(&path).unwrap();
        !text.is_empty()
    })
    .await;
    assert!(text.contains(r#""version":"2""#), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_the_last_piece_is_waited_for_no_longer_than_for_any_other() {
    let v1 = Backend::start(|request| async move {
        let length = if request.uri().path() == "/large" { 8_000 } else { 0 };
        Response::new(full(vec![b'x'; length]))
    })
    .await;
    let mut service = shop(v1.address);
    service.timeouts.idle = Millis(200);
    let (_proxy, address) = proxy(service).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    let (mut sender, connection) =
        builder.initial_window_size(10).handshake::<_, Bytes>(stream).await.unwrap();
    tokio::spawn(async { drop(connection.await) });
    let head = |path: &str| Request::get(format!("http://shop.example{path}")).body(()).unwrap();
    let (answer, _) = sender.send_request(head("/large"), true).unwrap();
    let mut body = answer.await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap().len(), 10);
    let left = tokio::spawn(async move { body.data().await });
    // The connection itself is in use all the while.
    until("the stream is reset", || {
        left.is_finished() || {
            let (answer, _) = sender.send_request(head("/"), true).unwrap();
            tokio::spawn(answer);
            false
        }
    })
    .await;
    let end = left.await.unwrap().unwrap().unwrap_err();
    assert_eq!(end.reason(), Some(h2::Reason::CANCEL));
}

/// Asks for `path` without end, and resets one in `one_in` once the release has it; how many were
/// asked for until the connection was closed, or `most`.
async fn asked_and_reset(v1: &Backend, address: SocketAddr, one_in: u64, most: u64) -> u64 {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(async { drop(connection.await) });
    let before = v1.requests();
    for n in 0..most {
        let reset = n % one_in == 0;
        let path = if reset { "hang" } else { "quick" };
        let head = Request::get(format!("http://shop.example/{path}")).body(()).unwrap();
        let Ok(ready) = sender.clone().ready().await else { return n };
        sender = ready;
        let Ok((answer, mut stream)) = sender.send_request(head, true) else { return n };
        if reset {
            let has_it = || v1.requests() > before + n || connection.is_finished();
            until("the release has it", has_it).await;
            stream.send_reset(h2::Reason::CANCEL);
        } else if answer.await.is_err() {
            return n;
        }
    }
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_resets_what_it_asks_for_is_sent_away_and_one_that_sometimes_does_is_not() {
    let v1 = Backend::start(|request| async move {
        if request.uri().path() == "/hang" {
            std::future::pending::<()>().await;
        }
        Response::new(full("ok"))
    })
    .await;
    let (_proxy, address) = proxy(shop(v1.address)).await;
    let asked = asked_and_reset(&v1, address, 1, 2_000).await;
    assert!((250..300).contains(&asked), "{asked} until it was over");
    assert_eq!(asked_and_reset(&v1, address, 3, 1_000).await, 1_000);
}
