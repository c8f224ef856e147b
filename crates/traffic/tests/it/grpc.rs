//! Releases that speak HTTP/2: many requests on one connection, streams both ways, gRPC.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rollout::route::{Protocol, ServiceRoute};
use rollout::units::Millis;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use traffic::Health;

use crate::kit::{Body, Http, counted, full, observed, proxy, shop, snapshot, until};

/// A release that speaks HTTP/2 without TLS; gRPC's health check says that it serves.
struct Release {
    address: SocketAddr,
    connections: Arc<AtomicU64>,
    requests: Arc<AtomicU64>,
}

impl Release {
    async fn start<A, F>(answer: A) -> Self
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, requests) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (opened, seen) = (Arc::clone(&connections), Arc::clone(&requests));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let first = Arc::new(AtomicU64::new(1));
                let (opened, seen, answer) =
                    (Arc::clone(&opened), Arc::clone(&seen), answer.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let check = request.uri().path() == "/grpc.health.v1.Health/Check";
                    if !check {
                        seen.fetch_add(1, Ordering::Relaxed);
                        opened.fetch_add(first.swap(0, Ordering::Relaxed), Ordering::Relaxed);
                    }
                    let answer = answer.clone();
                    async move {
                        Ok::<_, Infallible>(if check {
                            said(&[b"\0\0\0\0\x02\x08\x01"], "0")
                        } else {
                            answer(request).await
                        })
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { address, connections, requests }
    }

    fn serves(&self) -> ServiceRoute {
        let mut service = shop(self.address);
        service.stable.as_mut().unwrap().protocol = Protocol::H2c;
        "/grpc.health.v1.Health/Check".clone_into(&mut service.health.path);
        service
    }
}

/// An answer of gRPC: messages, then how the call went.
fn said(messages: &[&'static [u8]], status: &'static str) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let frames: Vec<_> =
        messages.iter().map(|message| Frame::data(Bytes::from_static(message))).collect();
    let frames = frames.into_iter().chain([Frame::trailers(trailers)]).map(Ok);
    let body = StreamBody::new(futures_util::stream::iter(frames));
    Response::builder().header("content-type", "application/grpc+proto").body(body.boxed()).unwrap()
}

async fn connect(address: SocketAddr) -> SendRequest<Body> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn call(method: &str, body: Body) -> Request<Body> {
    Request::post(format!("http://shop.example/shop.Cart/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap()
}

/// Counts when the call it belongs to is dropped unanswered.
struct Unanswered(Arc<AtomicU64>);

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A body whose pieces are sent from outside.
fn dripping() -> (mpsc::UnboundedSender<Bytes>, Body) {
    let (pieces, mut taken) = mpsc::unbounded_channel::<Bytes>();
    let stream = futures_util::stream::poll_fn(move |cx| {
        taken.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    });
    (pieces, StreamBody::new(stream).boxed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_share_a_connection_a_thread_and_arrive_as_they_were_sent() {
    let v1 = Release::start(|request| async move {
        let seen = format!(
            "{} {} {:?} {:?}",
            request.uri(),
            request.headers()["te"].to_str().unwrap(),
            request.version(),
            request.headers().get("host"),
        );
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let frames = [
            Ok(Frame::data(Bytes::from(format!("{seen} {}", body.len())))),
            Ok(Frame::trailers(trailers)),
        ];
        let body = StreamBody::new(futures_util::stream::iter(frames)).boxed();
        Response::builder().header("content-type", "application/grpc").body(body).unwrap()
    })
    .await;
    let (proxy, address) = proxy(v1.serves()).await;
    assert_eq!(observed(&proxy, "shop").upstreams[0].health, Health::Healthy, "asked as gRPC asks");
    let sender = connect(address).await;
    let calls = (0..60_usize).map(|n| {
        let mut sender = sender.clone();
        async move {
            let request = call("Add", full(vec![b'x'; n * 100]));
            let answer = sender.send_request(request).await.unwrap();
            let answer = answer.into_body().collect().await.unwrap();
            assert_eq!(answer.trailers().unwrap()["grpc-status"], "0");
            let expected =
                format!("http://shop.example/shop.Cart/Add trailers HTTP/2.0 None {}", n * 100);
            assert_eq!(answer.to_bytes(), expected.as_bytes());
        }
    });
    join_all(calls).await;
    assert_eq!(v1.requests.load(Ordering::Relaxed), 60);
    assert_eq!(v1.connections.load(Ordering::Relaxed), 1, "one thread took the connection");
    until("all are over", || observed(&proxy, "shop").in_flight.is_empty()).await;
    assert_eq!(counted(&proxy, "v1").counts.failures, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_calls_than_a_connection_carries_get_another_connection() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let v1 = Release::start(move |_| {
        let opened = Arc::clone(&opened);
        async move {
            opened.acquire().await.unwrap().forget();
            said(&[b"done"], "0")
        }
    })
    .await;
    let (_proxy, address) = proxy(v1.serves()).await;
    let mut senders = [connect(address).await, connect(address).await, connect(address).await];
    let calls: Vec<_> = (0..250)
        .map(|n| tokio::spawn(senders[n % 3].send_request(call("Slow", full("")))))
        .collect();
    until("all are in flight", || v1.requests.load(Ordering::Relaxed) == 250).await;
    let connections = v1.connections.load(Ordering::Relaxed);
    assert!((3..=6).contains(&connections), "{connections} connections");
    gate.add_permits(250);
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_talk_at_once_message_by_message() {
    let v1 = Release::start(|request| async move {
        let mut body = request.into_body();
        let (pieces, answer) = dripping();
        tokio::spawn(async move {
            while let Some(Ok(frame)) = body.frame().await {
                let Ok(data) = frame.into_data() else { break };
                let _ = pieces.send(Bytes::from([b"echo ", &data[..]].concat()));
            }
        });
        Response::builder().header("content-type", "application/grpc").body(answer).unwrap()
    })
    .await;
    let mut service = v1.serves();
    service.timeouts.idle = Millis(1_000);
    let (proxy, address) = proxy(service).await;
    let mut sender = connect(address).await;
    let (pieces, body) = dripping();
    let mut answer = sender.send_request(call("Chat", body)).await.unwrap().into_body();
    for n in 0..20 {
        pieces.send(Bytes::from(format!("{n}"))).unwrap();
        let said = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(said, format!("echo {n}"));
        tokio::time::sleep(std::time::Duration::from_millis(70)).await;
    }
    drop(pieces);
    let end = answer.collect().await;
    assert!(end.as_ref().is_ok_and(|end| end.trailers().is_none()), "{end:?}");
    until("it is over", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counts = counted(&proxy, "v1").counts;
    assert_eq!((counts.requests, counts.failures, counts.client_gone), (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_the_client_gives_up_is_given_up_at_the_release_and_is_nobodys_failure() {
    let given_up = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&given_up);
    let v1 = Release::start(move |_| {
        let unanswered = Unanswered(Arc::clone(&seen));
        async move {
            let _unanswered = unanswered;
            std::future::pending::<Response<Body>>().await
        }
    })
    .await;
    let (proxy, address) = proxy(v1.serves()).await;
    let mut sender = connect(address).await;
    let (_pieces, body) = dripping();
    let calls = [
        tokio::spawn(sender.send_request(call("Unary", full("request")))),
        tokio::spawn(sender.send_request(call("Upload", body))),
    ];
    until("both are in flight", || v1.requests.load(Ordering::Relaxed) == 2).await;
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    until("the release knows", || given_up.load(Ordering::Relaxed) == 2).await;
    until("both are counted", || counted(&proxy, "v1").counts.client_gone == 2).await;
    let counts = counted(&proxy, "v1").counts;
    assert_eq!((counts.requests, counts.failures), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_a_call_went_is_read_from_its_trailers() {
    let v1 = Release::start(|request| async move {
        let status: &'static str = match request.uri().path().rsplit_once('/').unwrap().1 {
            "Ok" => "0",
            "NotFound" => "5",
            "Exhausted" => "8",
            "Unimplemented" => "12",
            "Unknown" => "2",
            "Late" => "4",
            "Internal" => "13",
            "Unavailable" => "14",
            _ => "15",
        };
        if request.headers().contains_key("x-at-once") {
            let mut answer = Response::new(full(""));
            answer
                .headers_mut()
                .insert("content-type", HeaderValue::from_static("application/grpc"));
            answer.headers_mut().insert("grpc-status", HeaderValue::from_static(status));
            return answer;
        }
        said(&[b"message"], status)
    })
    .await;
    let (proxy, address) = proxy(v1.serves()).await;
    let mut sender = connect(address).await;
    let methods = [
        "Ok",
        "NotFound",
        "Exhausted",
        "Unimplemented",
        "Unknown",
        "Late",
        "Internal",
        "Unavailable",
        "Loss",
    ];
    for method in methods {
        let answer = sender.send_request(call(method, full(""))).await.unwrap();
        assert!(answer.into_body().collect().await.unwrap().trailers().is_some(), "{method}");
        let mut at_once = call(method, full(""));
        at_once.headers_mut().insert("x-at-once", HeaderValue::from_static("1"));
        let answer = sender.send_request(at_once).await.unwrap();
        assert!(answer.headers().contains_key("grpc-status"), "{method}");
    }
    until("all are over", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counted = counted(&proxy, "v1");
    assert_eq!((counted.counts.requests, counted.counts.failures), (18, 10));
    assert_eq!((counted.causes.grpc, counted.classes), (10, [0, 18, 0, 0, 0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_breaks_a_stream_fails_that_call_alone() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let v1 = Release::start(move |request| {
        let opened = Arc::clone(&opened);
        async move {
            if !request.uri().path().ends_with("Broken") {
                return said(&[b"whole"], "0");
            }
            let half = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"half")))]);
            let then = futures_util::stream::once(async move {
                let _permit = opened.acquire().await;
                Err(std::io::Error::other("broken"))
            });
            Response::new(StreamBody::new(futures_util::StreamExt::chain(half, then)).boxed())
        }
    })
    .await;
    let (proxy, address) = proxy(v1.serves()).await;
    let mut sender = connect(address).await;
    let answer = sender.send_request(call("Broken", full(""))).await.unwrap();
    let mut body = answer.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "half");
    gate.add_permits(1);
    let broken = body.collect().await;
    assert!(broken.is_err(), "the client can tell: {broken:?}");
    assert_eq!(sender.send_request(call("Whole", full(""))).await.unwrap().status(), 200);
    until("all are over", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counted = counted(&proxy, "v1");
    assert_eq!((counted.causes.broken_body, counted.counts.failures), (1, 1));
    assert_eq!(v1.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_http1_is_served_by_a_release_that_speaks_http2() {
    let v1 = Release::start(|request| async move {
        let uri = request.uri().to_string();
        let sent = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(full(format!("{uri} {}", sent.len())))
    })
    .await;
    let (_proxy, address) = proxy(v1.serves()).await;
    let mut http = Http::connect(address).await;
    let request = Request::post("/buy?n=1").header("host", "shop.example").body(full("four"));
    let answer = http.send(request.unwrap()).await.unwrap();
    assert_eq!(answer.text(), "http://shop.example/buy?n=1 4");
    assert_eq!(answer.headers["content-length"], answer.body.len().to_string().as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_leaves_ends_its_calls_and_closes_its_connection() {
    let v1 = Release::start(|_| async {
        Response::new(StreamBody::new(futures_util::stream::pending()).boxed())
    })
    .await;
    let v2 = Release::start(|_| async { said(&[b"v2"], "0") }).await;
    let mut service = v1.serves();
    service.drain = Millis(200);
    let (proxy, address) = proxy(service.clone()).await;
    let mut sender = connect(address).await;
    let endless = sender.send_request(call("Watch", full(""))).await.unwrap();
    service.stable = v2.serves().stable;
    service.stable.as_mut().unwrap().release = "v2".to_owned();
    proxy.apply(snapshot(2, [service])).unwrap();
    assert!(endless.into_body().collect().await.is_err(), "the drain is over");
    until("nothing is left", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counted = counted(&proxy, "v1");
    assert_eq!((counted.counts.failures, counted.cut), (0, 1));
    let answer = sender.send_request(call("Add", full(""))).await.unwrap();
    assert!(answer.into_body().collect().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_speaks_http1_where_http2_was_promised_is_a_failure() {
    let v1 = crate::kit::Backend::named("v1").await;
    let mut service = shop(v1.address);
    service.stable.as_mut().unwrap().protocol = Protocol::H2c;
    let (proxy, address) = proxy(service).await;
    assert_eq!(observed(&proxy, "shop").upstreams[0].health, Health::Unhealthy);
    let answer = crate::kit::get(address, "u").await;
    assert_eq!(answer.status, 502);
    assert_eq!(counted(&proxy, "v1").causes.reset, 1);
}
