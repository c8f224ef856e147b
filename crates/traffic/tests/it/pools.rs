//! Several upstreams of a release, and upstreams that are slow to take connections.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rollout::route::{Protocol, ServiceRoute, TrackRoute};
use rollout::units::Millis;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

use crate::kit::{Backend, Http, counted, full, get, observed, proxy, shop, status, until};

/// A service on several addresses.
fn spread(addresses: &[SocketAddr]) -> ServiceRoute {
    let upstreams = addresses.iter().map(ToString::to_string).collect();
    let stable =
        Some(TrackRoute { release: "v1".to_owned(), upstreams, protocol: Protocol::Http1 });
    ServiceRoute { stable, ..shop(addresses[0]) }
}

/// A server with a listen queue this short, which takes a connection each 10 ms.
fn slow_to_accept(backlog: i32) -> SocketAddr {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(backlog).unwrap();
    let listener = TcpListener::from_std(socket.into()).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = |_| async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok::<_, std::convert::Infallible>(Response::new(full("ok")))
            };
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service_fn(answer)));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_listen_queue_loses_no_request_when_hundreds_come_at_once() {
    for backlog in [1, 2, 4, 8] {
        let (proxy, address) = proxy(shop(slow_to_accept(backlog))).await;
        let mut clients = Vec::new();
        for _ in 0..300 {
            clients.push(Http::connect(address).await);
        }
        let requests = clients.into_iter().map(|mut client| async move { client.get("u").await });
        for answer in futures_util::future::join_all(requests).await {
            assert_eq!(answer.text(), "ok", "a listen queue of {backlog}: {answer:?}");
        }
        let counts = counted(&proxy, "v1").counts;
        assert_eq!((counts.requests, counts.failures), (300, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_goes_to_another_upstream_when_one_cannot_be_reached() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (one, two) = (Backend::named("one").await, Backend::named("two").await);
    let mut service = spread(&[closed, one.address, two.address]);
    // Its checks do not find it out before the requests do.
    service.health.unhealthy_after = 1_000_000;
    service.health.healthy_after = 1_000_000;
    let stable = service.stable.as_mut().unwrap();
    stable.upstreams.sort();
    let proxy = traffic::Proxy::start(traffic::ProxySettings::default()).unwrap();
    proxy.apply(crate::kit::snapshot(1, [service])).unwrap();
    let address = observed(&proxy, "shop").listening.unwrap();
    let mut http = Http::connect(address).await;
    for n in 0..60 {
        let posted = http.send(Request::post("/").body(full(format!("{n}"))).unwrap()).await;
        assert_eq!(posted.unwrap().status, 200);
    }
    assert_eq!(one.requests() + two.requests(), 60);
    assert!(one.requests() > 0 && two.requests() > 0);
    assert_eq!(counted(&proxy, "v1").counts.failures, 0);
    let upstreams = observed(&proxy, "shop").upstreams;
    let out = upstreams.iter().filter(|upstream| upstream.left_out);
    assert_eq!(out.map(|upstream| &upstream.address).collect::<Vec<_>>(), [&closed.to_string()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_fails_while_others_do_not_is_left_out() {
    let good = Backend::named("good").await;
    let bad = Backend::start(|_| async { status(500) }).await;
    let (proxy, address) = proxy(spread(&[good.address, bad.address])).await;
    let mut http = Http::connect(address).await;
    let is_out = || observed(&proxy, "shop").upstreams.iter().any(|upstream| upstream.left_out);
    let mut failed = 0;
    for _ in 0..2_000 {
        failed += u32::from(http.get("u").await.status == 500);
        if is_out() {
            break;
        }
    }
    assert_eq!(failed, 5, "five in a row are enough, and each was counted");
    assert_eq!(counted(&proxy, "v1").causes.status, 5);
    for _ in 0..50 {
        assert_eq!(http.get("u").await.text(), "good");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_upstream_gets_less_than_its_fellow() {
    let quick = Backend::named("quick").await;
    let slow = Backend::start(|_| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Response::new(full("slow"))
    })
    .await;
    let (_proxy, address) = proxy(spread(&[quick.address, slow.address])).await;
    let clients = (0..8).map(|_| async {
        let mut http = Http::connect(address).await;
        for _ in 0..40 {
            http.get("u").await;
        }
    });
    futures_util::future::join_all(clients).await;
    let (quick, slow) = (quick.requests(), slow.requests());
    assert!(quick > 2 * slow, "{quick} to {slow}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_never_made_is_a_504_within_the_limit() {
    // A listen queue that is full and never emptied drops every further attempt.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let full_house = socket.local_addr().unwrap().as_socket().unwrap();
    let mut guests = Vec::new();
    for _ in 0..4 {
        guests.push(tokio::spawn(tokio::net::TcpStream::connect(full_house)));
    }
    let mut service = shop(full_house);
    service.timeouts.connect = Millis(400);
    service.health.timeout = Millis(50);
    let (proxy, address) = proxy(service).await;
    until("the queue is full", || guests.iter().any(tokio::task::JoinHandle::is_finished)).await;
    let mut last = get(address, "u").await;
    assert_eq!((last.status.as_u16(), last.text()), (504, "the service cannot be reached\n"));
    last = get(address, "u").await;
    assert_eq!(last.status, 504, "and whoever waits in line behind it too");
    assert_eq!(counted(&proxy, "v1").causes.connect, 2);
}

/// A server that takes each request and breaks off, and is well otherwise.
async fn breaks_off() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = |request: Request<hyper::body::Incoming>| async move {
                if request.uri().path() == "/health" {
                    return Ok(Response::new(full("ok")));
                }
                Err(std::io::Error::other("killed"))
            };
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_of_several_breaks_off_another_answers_where_twice_is_as_good_as_once() {
    let well = Backend::named("well").await;
    let (proxy, address) = proxy(spread(&[breaks_off().await, well.address])).await;
    for _ in 0..20 {
        assert_eq!(get(address, "u").await.text(), "well");
    }
    // Those that go through hyper, too.
    for _ in 0..20 {
        let request = Request::get("/").header("expect", "100-continue").body(full("")).unwrap();
        let answer = Http::connect(address).await.send(request).await.unwrap();
        assert_eq!(answer.text(), "well");
    }
    let counts = counted(&proxy, "v1").counts;
    assert_eq!((counts.requests, counts.failures), (40, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_canary_breaks_off_is_not_hidden_by_another_upstream_of_it() {
    let (v1, well) = (Backend::named("v1").await, Backend::named("v2").await);
    let mut service = shop(v1.address);
    let mut canary = crate::kit::canary(well.address, 100);
    canary.track.upstreams.push(breaks_off().await.to_string());
    service.canary = Some(canary);
    let (proxy, address) = proxy(service).await;
    for _ in 0..20 {
        get(address, "u").await;
    }
    let counts = counted(&proxy, "v2").counts;
    assert!(counts.requests == 20 && counts.failures > 0, "{counts:?}");
}
