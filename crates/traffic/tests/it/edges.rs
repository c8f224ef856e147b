//! Where two versions of HTTP meet, and what a release says in ways nobody uses.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use rollout::route::{Protocol, ServiceRoute};
use rollout::units::Millis;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use traffic::{Proxy, ProxySettings};

use crate::blunt::{blunt, read_head};
use crate::kit::{Http, counted, full, observed, proxy, raw, shop, snapshot, until};

/// A release that speaks HTTP/2 frame by frame; `answer` is told which connection it is. Its
/// health checks are answered.
async fn frames<F: Future<Output = ()> + Send + 'static>(
    answer: impl Fn(u64, Request<h2::RecvStream>, SendResponse<Bytes>) -> F + Clone + Send + 'static,
) -> ServiceRoute {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for n in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    if request.uri().path() == "/health" {
                        respond.send_response(Response::new(()), true).unwrap();
                    } else {
                        tokio::spawn(answer(n, request, respond));
                    }
                }
            });
        }
    });
    let mut service = shop(address);
    service.stable.as_mut().unwrap().protocol = Protocol::H2c;
    service
}

/// What a release is sent in trailers, by name.
async fn told(_: u64, mut request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) {
    let body = request.body_mut();
    while let Some(piece) = body.data().await {
        let length = piece.unwrap().len();
        body.flow_control().release_capacity(length).unwrap();
    }
    let trailers = body.trailers().await.unwrap().unwrap_or_default();
    let mut names: Vec<&str> = trailers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    let text = Bytes::from(names.join(","));
    respond.send_response(Response::new(()), false).unwrap().send_data(text, true).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_named_like_fields_of_a_connection_stay_behind() {
    let (proxy, address) = proxy(frames(told).await).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
        Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\
        Connection: x-hop\r\nX-Hop: 1\r\nTE: gzip\r\nUpgrade: h2c\r\nX-Sum: 5\r\n\r\n";
    let answer = raw(address, request.as_bytes(), false).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("x-sum"), "{answer}");
    assert!(!answer.contains("x-hop") && !answer.contains("te,"), "{answer}");
    assert_eq!(counted(&proxy, "v1").counts.failures, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_reset_before_its_end_has_not_ended() {
    for reason in [Reason::NO_ERROR, Reason::CANCEL] {
        let service = frames(move |_, _, mut respond: SendResponse<Bytes>| async move {
            let mut stream = respond.send_response(Response::new(()), false).unwrap();
            stream.send_data(Bytes::from_static(b"half"), false).unwrap();
            // Else the reset takes back what was not sent yet.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            stream.send_reset(reason);
        });
        let (proxy, address) = proxy(service.await).await;
        let mut http = Http::connect(address).await;
        let answer = http.begin(Request::get("/").body(full("")).unwrap()).await.unwrap();
        assert!(answer.into_body().collect().await.is_err(), "{reason:?} is no end");
        until("it is over", || observed(&proxy, "shop").in_flight.is_empty()).await;
        assert_eq!(counted(&proxy, "v1").causes.broken_body, 1, "{reason:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_answer_that_asks_for_no_more_of_the_request_is_whole() {
    for trailers in [false, true] {
        let service = frames(move |_, _, mut respond: SendResponse<Bytes>| async move {
            let mut stream = respond.send_response(Response::new(()), false).unwrap();
            stream.send_data(Bytes::from_static(b"whole"), !trailers).unwrap();
            if trailers {
                stream.send_trailers(HeaderMap::new()).unwrap();
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            respond.send_reset(Reason::NO_ERROR);
        });
        let (proxy, address) = proxy(service.await).await;
        let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nfour";
        client.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        while !answer.ends_with("0\r\n\r\n") {
            let mut piece = [0; 256];
            let count = tokio::io::AsyncReadExt::read(&mut client, &mut piece).await.unwrap();
            assert!(count > 0, "{answer:?}");
            answer.push_str(std::str::from_utf8(&piece[..count]).unwrap());
        }
        assert!(answer.contains("whole"), "{answer:?}");
        assert_eq!(counted(&proxy, "v1").counts.failures, 0);
    }
}

/// A release that answers with this, in bytes, and health checks well.
async fn says(answer: &'static str) -> SocketAddr {
    blunt(move |mut stream, _| async move {
        let head = read_head(&mut stream).await;
        let well = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let answer = if head.starts_with("GET /health") { well } else { answer };
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coding_for_the_transfer_that_nobody_asked_for_is_a_502() {
    let coded = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nxx\r\n0\r\n\r\n";
    let (proxy, address) = proxy(shop(says(coded).await)).await;
    let answer = Http::connect(address).await.get("u").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (502, "the service broke off\n"));
    assert_eq!(counted(&proxy, "v1").causes.reset, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_over_which_nothing_comes_takes_no_more_requests() {
    let service = frames(|n, request, mut respond: SendResponse<Bytes>| async move {
        if request.uri().path() == "/silent" {
            std::future::pending::<()>().await;
        }
        let answer = Response::builder().header("x-connection", n).body(()).unwrap();
        respond.send_response(answer, true).unwrap();
    });
    let mut service = service.await;
    service.timeouts.first_byte = Millis(100);
    let proxy = Proxy::start(ProxySettings { threads: 1, ..ProxySettings::default() }).unwrap();
    proxy.apply(snapshot(1, [service])).unwrap();
    let address = observed(&proxy, "shop").listening.unwrap();
    let mut http = Http::connect(address).await;
    let first = http.get("u").await.headers["x-connection"].clone();
    assert_eq!(http.get("u").await.headers["x-connection"], first, "it is shared");
    let silent = http.send(Request::get("/silent").body(full("")).unwrap()).await.unwrap();
    assert_eq!(silent.status, 504);
    assert_ne!(http.get("u").await.headers["x-connection"], first, "and left");
}
