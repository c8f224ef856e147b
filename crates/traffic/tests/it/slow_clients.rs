//! Clients that hold what they have: limits in time, and the end of a drain, reach them too.

use std::time::Duration;

use rollout::units::Millis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::blunt::{blunt, read_head};
use crate::kit::{Backend, counted, observed, proxy, raw, shop, snapshot, track, until};

/// Longer than what fits into all buffers on the way.
const LONG: usize = 64 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_pipelines_hundreds_of_requests_and_falls_silent_is_let_go() {
    let mut service = shop(Backend::named("v1").await.address);
    service.stable = None;
    service.timeouts.idle = Millis(300);
    let (_proxy, address) = proxy(service).await;
    // More answers in one go than a task may write before others have their turn.
    let requests = "GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(150);
    let answers = raw(address, requests.as_bytes(), false).await;
    assert_eq!(answers.matches("HTTP/1.1 503").count(), 150);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_slower_than_the_upstream_does_not_outlast_the_drain() {
    let v2 = Backend::named("v2").await;
    let v1 = blunt(|mut stream, _| async move {
        if read_head(&mut stream).await.contains("/health") {
            let well = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            return stream.write_all(well).await.unwrap();
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n");
        let piece = vec![b'x'; 65_536];
        let mut sent = stream.write_all(head.as_bytes()).await;
        for _ in 0..LONG / piece.len() {
            if sent.is_ok() {
                sent = stream.write_all(&piece).await;
            }
        }
    })
    .await;
    let mut service = shop(v1);
    service.drain = Millis(200);
    let (proxy, address) = proxy(service.clone()).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let (mut piece, mut read) = (vec![0; 65_536], 0);
    service.stable = Some(track("v2", v2.address));
    while read < LONG {
        let Ok(count @ 1..) = client.read(&mut piece).await else { break };
        if read == 0 {
            proxy.apply(snapshot(2, [service.clone()])).unwrap();
        }
        read += count;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(read < LONG, "it was cut");
    until("nothing is left", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counted = counted(&proxy, "v1");
    assert_eq!((counted.counts.requests, counted.counts.failures, counted.cut), (1, 0, 1));
}
