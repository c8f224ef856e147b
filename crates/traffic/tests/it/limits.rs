//! How large a request may be, as the plan says.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rollout::route::{Limits, ServiceRoute};
use tokio::net::TcpStream;

use crate::kit::{Backend, Body, Http, counted, full, observed, proxy, raw, shop, until};

/// Answers when it has the whole body.
async fn patient() -> Backend {
    Backend::start(|request| async {
        let body = request.into_body().collect().await;
        Response::new(full(body.map_or(0, |body| body.to_bytes().len()).to_string()))
    })
    .await
}

fn limited(backend: &Backend, limits: Limits) -> ServiceRoute {
    let mut service = shop(backend.address);
    service.door.limits = limits;
    service
}

/// A body of this size that does not say it in advance.
fn unsaid(size: usize) -> Body {
    let pieces = (0..size / 100).map(|_| Ok(Frame::data(Bytes::from(vec![b'x'; 100]))));
    StreamBody::new(futures_util::stream::iter(pieces.collect::<Vec<_>>())).boxed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_beyond_the_limit_is_refused_whether_it_says_its_size_or_not() {
    let v1 = patient().await;
    let limits = Limits { body: Some(1_000), ..Limits::default() };
    let (proxy, address) = proxy(limited(&v1, limits)).await;
    for (body, expected) in [
        (full(vec![b'x'; 1_000]), 200),
        (full(vec![b'x'; 1_001]), 413),
        (unsaid(1_000), 200),
        (unsaid(1_100), 413),
    ] {
        let mut http = Http::connect(address).await;
        let answer = http.send(Request::post("/").body(body).unwrap()).await.unwrap();
        assert_eq!(answer.status.as_u16(), expected);
    }
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for (body, expected) in [
        (unsaid(1_100), 413),
        (full(vec![b'x'; 1_001]), 413),
        (unsaid(1_000), 200),
        (full(vec![b'x'; 1_000]), 200),
    ] {
        let answer = sender.send_request(Request::post("http://a/").body(body).unwrap()).await;
        assert_eq!(answer.unwrap().status().as_u16(), expected);
    }
    until("all are over", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counts = counted(&proxy, "v1").counts;
    assert_eq!((counts.requests, counts.failures), (4, 0), "the others are not the release's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_and_fields_beyond_the_limits_are_refused() {
    let v1 = Backend::named("v1").await;
    let limits = Limits { head: 2_048, fields: 10, body: None };
    let (_proxy, address) = proxy(limited(&v1, limits)).await;
    let request =
        |fields: &str| format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
    for (fields, expected) in [
        ("X: 1\r\n".repeat(8), "HTTP/1.1 200 "),
        ("X: 1\r\n".repeat(9), "HTTP/1.1 431 "),
        (format!("X: {}\r\n", "x".repeat(1_900)), "HTTP/1.1 200 "),
        (format!("X: {}\r\n", "x".repeat(2_048)), "HTTP/1.1 431 "),
    ] {
        let answer = raw(address, request(&fields).as_bytes(), false).await;
        assert!(answer.starts_with(expected), "{} bytes: {answer:?}", fields.len());
    }
    assert_eq!(v1.requests(), 2);
}
