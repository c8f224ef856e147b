//! Load balancers and proxies in front, which speak for their clients.

use std::net::SocketAddr;

use http::Response;
use rollout::route::{ServiceRoute, Sticky};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::kit::{Backend, full, proxy, raw, shop};

/// Says what it was told of the client.
async fn told() -> Backend {
    Backend::start(|request| async move {
        let told = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        Response::new(full(format!("{} | {}", told("x-forwarded-for"), told("forwarded"))))
    })
    .await
}

fn behind(backend: SocketAddr, balancer: &str, believed: &str) -> ServiceRoute {
    let mut service = shop(backend);
    let networks = |text: &str| text.split(' ').filter_map(|text| text.parse().ok()).collect();
    service.door.proxy_protocol_from = networks(balancer);
    service.door.forwarded_from = networks(believed);
    service
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// The last line of an answer.
fn body(answer: &str) -> &str {
    answer.rsplit("\r\n").next().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balancer_names_the_client_in_either_version_of_the_header() {
    let v1 = told().await;
    let (_proxy, address) = proxy(behind(v1.address, "127.0.0.0/8", "")).await;
    let mut version_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    version_2.extend([203, 0, 113, 7, 10, 0, 0, 1, 0x1f, 0x90, 0, 80]);
    for header in [&b"PROXY TCP4 203.0.113.7 10.0.0.1 8080 80\r\n"[..], &version_2] {
        let answer = raw(address, &[header, GET].concat(), false).await;
        assert_eq!(body(&answer), "203.0.113.7 | for=203.0.113.7;proto=http", "{answer:?}");
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.set_nodelay(true).unwrap();
        for byte in [header, GET].concat() {
            slow.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut answer = String::new();
        slow.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("203.0.113.7 | for=203.0.113.7;proto=http"), "{answer:?}");
    }
    let own = raw(address, &[b"PROXY UNKNOWN\r\n", GET].concat(), false).await;
    assert_eq!(body(&own), "127.0.0.1 | for=127.0.0.1;proto=http");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balancer_without_a_header_is_not_served() {
    let v1 = told().await;
    let (_proxy, address) = proxy(behind(v1.address, "127.0.0.1/32", "")).await;
    for bytes in [GET, b"PROXY TCP4 1.2.3.4\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", b"PROXY TC"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(v1.requests(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_from_anybody_else_is_a_malformed_request() {
    let v1 = told().await;
    let (_proxy, address) = proxy(behind(v1.address, "10.0.0.0/8", "")).await;
    let header = b"PROXY TCP4 203.0.113.7 10.0.0.1 8080 80\r\n";
    let answer = raw(address, &[header, GET].concat(), false).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer:?}");
    assert_eq!(body(&raw(address, GET, false).await), "127.0.0.1 | for=127.0.0.1;proto=http");
    assert_eq!(v1.requests(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_believed_proxy_names_the_client_whose_side_is_kept() {
    let (v1, v2) = (Backend::named("v1").await, Backend::named("v2").await);
    let mut service = behind(v1.address, "", "127.0.0.0/8");
    service.sticky = Sticky::Address;
    service.canary = Some(crate::kit::canary(v2.address, 50));
    let (_proxy, address) = proxy(service).await;
    let mut met = std::collections::BTreeSet::new();
    for client in 0..40 {
        let head = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.{client}\r\n\r\n"
        );
        let first = raw(address, head.as_bytes(), false).await;
        let again = raw(address, head.as_bytes(), false).await;
        assert_eq!(body(&first), body(&again), "the same client meets the same version");
        met.insert(body(&first).to_owned());
    }
    assert_eq!(met.len(), 2, "and others meet the other: {met:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_behind_a_balancer_is_not_believed_because_the_balancer_would_be() {
    let v1 = told().await;
    let (_proxy, address) = proxy(behind(v1.address, "127.0.0.0/8", "127.0.0.0/8")).await;
    let header = b"PROXY TCP4 203.0.113.7 10.0.0.1 8080 80\r\n";
    let claim =
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
    let answer = raw(address, &[&header[..], claim].concat(), false).await;
    assert_eq!(body(&answer), "203.0.113.7 | for=203.0.113.7;proto=http");
}
