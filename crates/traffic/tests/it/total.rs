//! The limit on a whole request.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Collected, StreamBody};
use hyper::body::{Frame, Incoming};
use rollout::route::ServiceRoute;
use rollout::units::Millis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::kit::{Backend, Body, Http, counted, full, observed, proxy, raw, shop, until};

/// An answer that goes on for ever: a piece of so many bytes each so many milliseconds.
fn endless(bytes: usize, every: u64) -> Response<Body> {
    let pieces = futures_util::stream::unfold((), move |()| async move {
        tokio::time::sleep(Duration::from_millis(every)).await;
        Some((Ok(Frame::data(Bytes::from(vec![b'x'; bytes]))), ()))
    });
    Response::new(StreamBody::new(pieces).boxed())
}

/// `/silent` is never answered, `/drip` never ends, `/flood` neither, and as fast as it is taken.
async fn backend() -> Backend {
    Backend::start(|request: Request<Incoming>| async move {
        match request.uri().path() {
            "/silent" => std::future::pending().await,
            "/drip" => endless(10, 20),
            "/flood" => endless(100_000, 0),
            _ => {
                let sent = request.into_body().collect().await.map(Collected::to_bytes);
                Response::new(full(sent.unwrap_or_default()))
            }
        }
    })
    .await
}

fn within(backend: &Backend, total: u64) -> ServiceRoute {
    let mut service = shop(backend.address);
    service.timeouts.total = Some(Millis(total));
    service
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(full("")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_takes_longer_for_a_request_has_failed_it() {
    let v1 = backend().await;
    let (proxy, address) = proxy(within(&v1, 200)).await;
    let answer = Http::connect(address).await.send(get("/silent")).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.text()),
        (504, "the service did not answer in time\n")
    );
    assert_eq!(counted(&proxy, "v1").causes.timeout, 1);
    let answer = Http::connect(address).await.begin(get("/drip")).await.unwrap();
    assert!(answer.into_body().collect().await.is_err(), "it is cut");
    until("it is over", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counted = counted(&proxy, "v1");
    assert_eq!((counted.causes.broken_body, counted.counts.failures), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_longer_is_let_go_and_nothing_is_counted_for_it() {
    let v1 = backend().await;
    let (proxy, address) = proxy(within(&v1, 300)).await;
    let upload = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nfour";
    let answer = raw(address, upload, false).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(counted(&proxy, "v1").counts.client_gone, 1);

    let mut deaf = TcpStream::connect(address).await.unwrap();
    deaf.write_all(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until("it is under way", || counted(&proxy, "v1").counts.requests == 1).await;
    until("it is let go", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let _ = deaf.read_to_end(&mut Vec::new()).await;
    assert_eq!(counted(&proxy, "v1").counts.failures, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_client_takes_longer_is_let_go_alone() {
    let v1 = backend().await;
    let mut service = within(&v1, 300);
    service.timeouts.idle = Millis(2_000);
    let (proxy, address) = proxy(service).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(async { drop(connection.await) });
    let head = |path: &str| Request::get(format!("http://shop.example{path}")).body(()).unwrap();
    let (flood, _) = sender.send_request(head("/flood"), true).unwrap();
    let _body = flood.await.unwrap().into_body();
    until("it is let go", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let (other, _) = sender.send_request(head("/"), true).unwrap();
    assert_eq!(other.await.unwrap().status(), 200);
    assert_eq!(counted(&proxy, "v1").counts.failures, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_take_no_longer_pass() {
    let v1 = backend().await;
    let (proxy, address) = proxy(within(&v1, 60_000)).await;
    let mut http = Http::connect(address).await;
    for n in 0..3 {
        let posted = Request::post("/").body(full(format!("{n}"))).unwrap();
        assert_eq!(http.send(posted).await.unwrap().text(), format!("{n}"));
    }
    assert_eq!(counted(&proxy, "v1").counts.failures, 0);
}
