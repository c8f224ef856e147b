//! TLS at the door, with a real client, and certificates that change.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rollout::route::{ServiceRoute, TlsRoute};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use traffic::{Proxy, ProxySettings};

use crate::kit::{Backend, Body, Http, full, observed, proxy, shop, snapshot, until};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/data");

/// A folder with a pair that can be replaced.
struct Pair(TempDir);

impl Pair {
    fn of(name: &str) -> Self {
        let pair = Self(tempfile::tempdir().unwrap());
        pair.become_key_of(name);
        pair.become_certificate_of(name);
        pair
    }

    fn become_certificate_of(&self, name: &str) {
        std::fs::copy(format!("{DATA}/{name}.pem"), self.path("pem")).unwrap();
    }

    fn become_key_of(&self, name: &str) {
        std::fs::copy(format!("{DATA}/{name}.key"), self.path("key")).unwrap();
    }

    fn path(&self, extension: &str) -> PathBuf {
        self.0.path().join(format!("shop.{extension}"))
    }

    fn route(&self) -> TlsRoute {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        TlsRoute { certificate: text(&self.path("pem")), key: text(&self.path("key")) }
    }

    fn before(&self, backend: SocketAddr) -> ServiceRoute {
        let mut service = shop(backend);
        service.door.tls = Some(self.route());
        service
    }
}

/// Opens TLS, trusting only the certificate called `name`.
async fn open(
    address: SocketAddr,
    name: &str,
    alpn: &[&[u8]],
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<TlsStream<TcpStream>> {
    open_as("shop.example", address, name, alpn, version).await
}

/// The same, asking for this host; an address asks for none.
async fn open_as(
    host: &'static str,
    address: SocketAddr,
    name: &str,
    alpn: &[&[u8]],
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(format!("{DATA}/{name}.pem")).unwrap();
    roots.add(certificate).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let tcp = TcpStream::connect(address).await.unwrap();
    let host = ServerName::try_from(host).unwrap();
    TlsConnector::from(Arc::new(config)).connect(host, tcp).await
}

async fn open_any(address: SocketAddr, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
    open(address, name, &[b"http/1.1"], &rustls::version::TLS13).await
}

/// Says what it was told of the client.
async fn told() -> Backend {
    Backend::start(|request| async move {
        let told = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        let text = format!("{} {}", told("x-forwarded-proto"), told("forwarded"));
        Response::new(full(text))
    })
    .await
}

fn get() -> Request<Body> {
    Request::get("https://shop.example/").header("host", "shop.example").body(full("")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_versions_of_http_are_spoken_inside_both_versions_of_tls() {
    let (v1, pair) = (told().await, Pair::of("one"));
    let (_proxy, address) = proxy(pair.before(v1.address)).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let tls = open(address, "one", &[b"h2", b"http/1.1"], version).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
        tokio::spawn(connection);
        let answer = sender.send_request(get()).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "https for=127.0.0.1;proto=https");

        let tls = open(address, "one", &[], version).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await.unwrap();
        tokio::spawn(connection);
        for _ in 0..3 {
            sender.ready().await.unwrap();
            let answer = sender.send_request(get()).await.unwrap();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "https for=127.0.0.1;proto=https");
        }
    }
    assert_eq!(v1.requests(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_inside_tls_are_read_as_strictly_and_large_bodies_pass() {
    let v1 = Backend::start(|request| async {
        Response::new(full(request.into_body().collect().await.unwrap().to_bytes()))
    })
    .await;
    let pair = Pair::of("one");
    let (_proxy, address) = proxy(pair.before(v1.address)).await;
    let mut tls = open_any(address, "one").await.unwrap();
    tls.write_all(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    tls.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(v1.requests(), 0);

    let tls = open_any(address, "one").await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await.unwrap();
    tokio::spawn(connection);
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let request = Request::post("https://shop.example/").header("host", "shop.example");
    let answer = sender.send_request(request.body(full(body.clone())).unwrap()).await.unwrap();
    assert!(answer.into_body().collect().await.unwrap().to_bytes() == body, "byte for byte");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_opens_inside_tls() {
    let pair = Pair::of("one");
    let (_proxy, address) = proxy(pair.before(crate::tunnels::echo().await)).await;
    let tls = open_any(address, "one").await.unwrap();
    let (mut socket, _) = client_async("wss://shop.example/chat", tls).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_pair_is_shown_to_new_connections_and_old_ones_go_on() {
    let (v1, pair) = (told().await, Pair::of("one"));
    let (proxy, address) = proxy(pair.before(v1.address)).await;
    let tls = open_any(address, "one").await.unwrap();
    let (mut old, connection) = http1::handshake(TokioIo::new(tls)).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(old.send_request(get()).await.unwrap().status(), 200);

    pair.become_certificate_of("two");
    until("the pair that does not match is told", || {
        observed(&proxy, "shop").tls_fault.is_some_and(|fault| fault.contains("cannot be used"))
    })
    .await;
    assert!(open_any(address, "one").await.is_ok(), "the old pair is shown on");
    pair.become_key_of("two");
    until("the fault is over", || observed(&proxy, "shop").tls_fault.is_none()).await;
    assert!(open_any(address, "two").await.is_ok());
    assert!(open_any(address, "one").await.is_err(), "the client trusts the first only");
    old.ready().await.unwrap();
    assert_eq!(old.send_request(get()).await.unwrap().status(), 200, "and was not touched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_with_a_pair_that_cannot_be_used_leaves_the_door_as_it_was() {
    let (v1, pair) = (told().await, Pair::of("one"));
    let (proxy, address) = proxy(pair.before(v1.address)).await;
    let other = Pair::of("two");
    std::fs::remove_file(other.path("pem")).unwrap();
    let service = other.before(v1.address);
    proxy.apply(snapshot(2, [service.clone()])).unwrap();
    let missing = format!("{} cannot be read: ", other.path("pem").display());
    let fault = observed(&proxy, "shop").tls_fault.unwrap();
    assert!(fault.starts_with(&missing), "{fault}");
    assert!(open_any(address, "one").await.is_ok());

    let fresh = Proxy::start(ProxySettings { threads: 1, ..ProxySettings::default() }).unwrap();
    fresh.apply(snapshot(1, [service])).unwrap();
    let refused = fresh.observed().refused["shop"].clone();
    let expected = format!("service \"shop\" cannot speak TLS: {missing}");
    assert!(refused.starts_with(&expected), "{refused}");

    other.become_certificate_of("two");
    until("it is taken once it is there", || observed(&proxy, "shop").tls_fault.is_none()).await;
    assert!(open_any(address, "two").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_door_may_begin_to_speak_tls_and_a_client_without_it_gets_nothing() {
    let (v1, pair) = (Backend::named("v1").await, Pair::of("one"));
    let (proxy, address) = proxy(shop(v1.address)).await;
    assert_eq!(Http::connect(address).await.get("u").await.text(), "v1");
    proxy.apply(snapshot(2, [pair.before(v1.address)])).unwrap();
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/"), "{}", String::from_utf8_lossy(&answer));
    assert!(open_any(address, "one").await.is_ok());
    assert_eq!(v1.requests(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_door_that_is_to_begin_with_tls_speaks_nothing_until_its_pair_is_there() {
    let (v1, pair) = (Backend::named("v1").await, Pair::of("one"));
    let (proxy, address) = proxy(shop(v1.address)).await;
    let late = pair.path("later");
    std::fs::rename(pair.path("key"), &late).unwrap();
    proxy.apply(snapshot(2, [pair.before(v1.address)])).unwrap();
    let fault = observed(&proxy, "shop").tls_fault.unwrap();
    assert!(fault.contains("cannot be read"), "{fault}");
    let mut plain = TcpStream::connect(address).await.unwrap();
    let _ = plain.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert_eq!(String::from_utf8_lossy(&answer), "");
    assert_eq!(v1.requests(), 0, "nothing was said in clear");

    std::fs::rename(&late, pair.path("key")).unwrap();
    until("the pair is found", || observed(&proxy, "shop").tls_fault.is_none()).await;
    assert!(open_any(address, "one").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_of_one_address_show_their_own_certificates() {
    let (v1, one, two) = (told().await, Pair::of("one"), Pair::of("two"));
    let mut blog = two.before(v1.address);
    blog.service = "blog".to_owned();
    blog.route.hosts = vec!["shop.example".to_owned()];
    let (proxy, address) = proxy(one.before(v1.address)).await;
    proxy.apply(snapshot(2, [one.before(v1.address), blog.clone()])).unwrap();
    assert!(proxy.observed().refused.is_empty());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let shown = async |host, name| {
            open_as(host, address, name, &[b"h2", b"http/1.1"], version).await.is_ok()
        };
        assert!(shown("shop.example", "two").await && !shown("shop.example", "one").await);
        assert!(shown("127.0.0.1", "one").await && !shown("127.0.0.1", "two").await);
    }
    let mut plain = blog;
    plain.door.tls = None;
    proxy.apply(snapshot(3, [one.before(v1.address), plain])).unwrap();
    let refused = proxy.observed().refused["blog"].clone();
    assert!(refused.ends_with("with \"shop\": only one of them has `listen.tls`"), "{refused}");
    assert!(open_any(address, "two").await.is_ok(), "it goes on as it was");
}
