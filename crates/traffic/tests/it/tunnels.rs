//! Upgraded connections, with a real WebSocket client and server.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use rollout::units::Millis;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use crate::kit::{
    Backend, canary, counted, get, observed, proxy, raw, shop, snapshot, track, until,
};

/// A WebSocket server that sends everything back; its health checks fail.
pub(crate) async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let Ok(mut socket) = accept_async(stream).await else {
                    return;
                };
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_close() || socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

async fn open(address: SocketAddr) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    client_async(format!("ws://{address}/chat"), stream).await.unwrap().0
}

async fn say(socket: &mut WebSocketStream<TcpStream>, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(text));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_talks_both_ways_and_is_counted() {
    let (proxy, address) = proxy(shop(echo().await)).await;
    let mut socket = open(address).await;
    for n in 0..100 {
        say(&mut socket, &format!("message {n}")).await;
    }
    say(&mut socket, &"x".repeat(300_000)).await;
    assert_eq!(observed(&proxy, "shop").in_flight["v1"], 1);
    socket.close(None).await.unwrap();
    drop(socket);
    until("it is over", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counted = counted(&proxy, "v1");
    assert_eq!(
        (counted.counts.requests, counted.counts.failures, counted.classes),
        (1, 0, [1, 0, 0, 0, 0])
    );
    assert!(counted.bytes_in > 300_000 && counted.bytes_out > 300_000, "{counted:?}");
    let complete = counted.latency_to_last.iter().map(|(_, count)| count).sum::<u64>();
    assert_eq!((complete, counted.cut), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_lasts_through_changes_of_weight_and_ends_with_the_drain() {
    let v2 = Backend::named("v2").await;
    let upstream = echo().await;
    let mut service = shop(upstream);
    (service.drain, service.timeouts.idle) = (Millis(300), Millis(100));
    let (proxy, address) = proxy(service.clone()).await;
    let mut socket = open(address).await;
    say(&mut socket, "before").await;
    service.canary = Some(canary(v2.address, 100));
    proxy.apply(snapshot(2, [service.clone()])).unwrap();
    until("the canary serves", || observed(&proxy, "shop").weight_in_force.steps() == 100_000)
        .await;
    assert_eq!(get(address, "u").await.text(), "v2");
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    say(&mut socket, "silence is no fault").await;
    (service.stable, service.canary) = (Some(track("v2", v2.address)), None);
    proxy.apply(snapshot(3, [service])).unwrap();
    say(&mut socket, "draining").await;
    let ended = socket.next().await;
    assert!(!matches!(ended, Some(Ok(_))), "{ended:?}");
    until("nothing is left", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counted = counted(&proxy, "v1");
    assert_eq!((counted.counts.failures, counted.cut), (0, 1));
    assert!(counted.bytes_in > 30 && counted.bytes_out > 30, "{counted:?}");
    assert_eq!(counted.latency_to_last.iter().map(|(_, count)| count).sum::<u64>(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_ends_when_its_service_leaves() {
    let mut service = shop(echo().await);
    service.drain = Millis(200);
    let (proxy, address) = proxy(service).await;
    let mut socket = open(address).await;
    say(&mut socket, "before").await;
    proxy.apply(snapshot(2, [])).unwrap();
    assert!(!matches!(socket.next().await, Some(Ok(_))));
    until("nothing is left", || proxy.observed().services.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_that_the_end_of_the_proxy_cuts_is_counted_as_cut_with_its_bytes() {
    let mut service = shop(echo().await);
    service.drain = Millis(200);
    let (proxy, address) = proxy(service).await;
    let mut socket = open(address).await;
    say(&mut socket, &"x".repeat(1_000)).await;
    proxy.stop().await;
    assert!(!matches!(socket.next().await, Some(Ok(_))));
    let counted = counted(&proxy, "v1");
    assert_eq!((counted.counts.requests, counted.cut, counted.counts.client_gone), (1, 1, 0));
    assert!(counted.bytes_in > 1_000 && counted.bytes_out > 1_000, "{counted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_that_is_not_granted_is_an_ordinary_answer_on_a_closing_connection() {
    let v1 = Backend::named("v1").await;
    let (_proxy, address) = proxy(shop(v1.address)).await;
    let smuggled = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\
                    GET /second HTTP/1.1\r\nHost : a\r\n\r\n";
    let answer = raw(address, smuggled.as_bytes(), false).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("v1"), "{answer:?}");
    assert!(answer.contains("connection: close"), "{answer:?}");
    assert_eq!(v1.requests(), 1, "what follows is not read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h2c_is_not_offered_to_the_upstream() {
    let v1 = Backend::start(|request| async move {
        assert!(!request.headers().contains_key("upgrade"), "{:?}", request.headers());
        assert!(!request.headers().contains_key("http2-settings"), "{:?}", request.headers());
        http::Response::new(crate::kit::full("v1"))
    })
    .await;
    let (_proxy, address) = proxy(shop(v1.address)).await;
    for asked in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: H2C\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c,\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n",
    ] {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{asked}HTTP2-Settings: AAMAAABk\r\n\r\n\
             GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        );
        let answer = raw(address, request.as_bytes(), false).await;
        assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{asked:?}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_changes_to_what_nobody_asked_for_is_a_502() {
    let v1 = Backend::start(|_| async {
        http::Response::builder()
            .status(101)
            .header("connection", "upgrade")
            .header("upgrade", "h2c")
            .body(crate::kit::full(""))
            .unwrap()
    })
    .await;
    let (proxy, address) = proxy(shop(v1.address)).await;
    let request =
        "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let answer = raw(address, request.as_bytes(), false).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer:?}");
    assert_eq!(counted(&proxy, "v1").causes.reset, 1);
}
