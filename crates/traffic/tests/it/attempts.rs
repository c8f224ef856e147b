//! Two attempts at one request: what becomes of the one that is given up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use rollout::units::Millis;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::blunt::{blunt, read_head};
use crate::kit::{Backend, Body, Http, counted, full, observed, proxy, until};
use crate::shield::{Fails, failing, shielded};

/// A body whose pieces are sent from outside.
fn dripping() -> (mpsc::UnboundedSender<Bytes>, Body) {
    let (pieces, mut taken) = mpsc::unbounded_channel::<Bytes>();
    let stream = futures_util::stream::poll_fn(move |cx| {
        taken.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    });
    (pieces, StreamBody::new(stream).boxed())
}

/// Says how many bytes it was sent, and counts them as they come.
async fn counting(bytes: &Arc<AtomicU64>) -> Backend {
    let counted = Arc::clone(bytes);
    Backend::start(move |request: Request<Incoming>| {
        let counted = Arc::clone(&counted);
        async move {
            let (mut body, mut sum) = (request.into_body(), 0);
            while let Some(frame) = body.frame().await {
                let length = frame.unwrap().data_ref().map_or(0, Bytes::len) as u64;
                counted.fetch_add(length, Ordering::Relaxed);
                sum += length;
            }
            Response::new(full(format!("v1:{sum}")))
        }
    })
    .await
}

/// Answers a health check on this connection; true when it was none.
async fn is_request(stream: &mut TcpStream) -> bool {
    let check = read_head(stream).await.starts_with("GET /health");
    if check {
        let well = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(well).await.unwrap();
    }
    !check
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_of_an_attempt_that_was_given_up_is_closed_while_the_other_goes_on() {
    let closed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&closed);
    let v2 = blunt(move |mut stream, _| {
        let seen = Arc::clone(&seen);
        async move {
            if is_request(&mut stream).await {
                let failed = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(failed).await.unwrap();
                let _ = stream.read_to_end(&mut Vec::new()).await;
                seen.store(true, Ordering::Relaxed);
            }
        }
    })
    .await;
    let arrived = Arc::default();
    let stable = counting(&arrived).await;
    let (_proxy, address) = proxy(shielded(stable.address, v2)).await;
    let (pieces, body) = dripping();
    pieces.send(Bytes::from_static(b"one")).unwrap();
    let request = Request::put("/").body(body).unwrap();
    let answer = tokio::spawn(async move { Http::connect(address).await.send(request).await });
    until("stable has what there is", || arrived.load(Ordering::Relaxed) == 3).await;
    until("the canary's connection is closed", || closed.load(Ordering::Relaxed)).await;
    pieces.send(Bytes::from_static(b"two")).unwrap();
    drop(pieces);
    assert_eq!(answer.await.unwrap().unwrap().text(), "v1:6");
}

/// A canary that reads nothing of a body and closes once it is told to.
fn deaf(told: &Arc<AtomicBool>) -> SocketAddr {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(16).unwrap();
    let listener = TcpListener::from_std(socket.into()).unwrap();
    let (address, told) = (listener.local_addr().unwrap(), Arc::clone(told));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let told = Arc::clone(&told);
            tokio::spawn(async move {
                if is_request(&mut stream).await {
                    until("it is told", || told.load(Ordering::Relaxed)).await;
                    stream.set_zero_linger().unwrap();
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stable_serves_also_when_more_has_passed_meanwhile_than_is_kept() {
    const PIECE: usize = 1 << 20;
    let (told, arrived) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let (stable, v2) = (counting(&arrived).await, deaf(&told));
    let mut service = shielded(stable.address, v2);
    (service.timeouts.idle, service.timeouts.first_byte) = (Millis(2_000), Millis(20_000));
    let shield = service.shield.as_mut().unwrap();
    (shield.timeout, shield.body_limit) = (Millis(300), 12 << 20);
    let (proxy, address) = proxy(service).await;
    let (pieces, body) = dripping();
    for _ in 0..11 {
        pieces.send(Bytes::from(vec![b'x'; PIECE])).unwrap();
    }
    let request = Request::put("/").body(body).unwrap();
    let answer = tokio::spawn(async move { Http::connect(address).await.send(request).await });
    let passed = |pieces: u64| arrived.load(Ordering::Relaxed) >= pieces << 20;
    until("stable is asked as well", || passed(11)).await;
    pieces.send(Bytes::from(vec![b'x'; 2 * PIECE])).unwrap();
    until("more has passed than is kept", || passed(13)).await;
    told.store(true, Ordering::Relaxed);
    until("the canary has failed", || counted(&proxy, "v2").counts.failures == 1).await;
    drop(pieces);
    assert_eq!(answer.await.unwrap().unwrap().text(), format!("v1:{}", 13 * PIECE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_hangs_is_left_out_though_stable_answers_in_its_place() {
    let (stable, good) = (Backend::named("v1").await, Backend::named("v2").await);
    let hangs = failing(Fails::Hangs).await;
    let mut service = shielded(stable.address, hangs);
    service.canary.as_mut().unwrap().track.upstreams.push(good.address.to_string());
    service.shield.as_mut().unwrap().timeout = Millis(50);
    let (proxy, address) = proxy(service).await;
    let is_out = || observed(&proxy, "shop").upstreams.iter().any(|upstream| upstream.left_out);
    let mut http = Http::connect(address).await;
    for _ in 0..2_000 {
        assert_eq!(http.get("u").await.status, 200);
        if is_out() {
            break;
        }
    }
    assert!(is_out(), "it is noticed");
    assert_eq!(counted(&proxy, "v2").causes.timeout, 5);
}
