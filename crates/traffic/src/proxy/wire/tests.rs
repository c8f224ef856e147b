//! Limits in time, as a connection meets them.

use std::future::poll_fn;

use rollout::route::TlsRoute;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::behind::Certificates;
use super::super::tls::Tls;
use super::*;

#[tokio::test]
async fn the_idle_limit_runs_from_the_answer_though_reading_was_waiting_before_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let line = Arc::new(Line::default());
    let (head, idle) = (Duration::from_hours(1), Duration::from_millis(50));
    let stream = Stream::new(listener.accept().await.unwrap().0);
    let mut wire = Wire::new(stream, Arc::clone(&line), head, idle);
    assert!(wire.read(&mut [0; 64]).await.unwrap() > 0);
    let waiting = poll_fn(|cx| {
        Poll::Ready(Pin::new(&mut wire).poll_read(cx, &mut ReadBuf::new(&mut [0; 64])))
    });
    assert!(waiting.await.is_pending(), "nothing else has come");
    line.answered();
    wire.flush().await.unwrap();
    let mut woken = false;
    let end = poll_fn(|cx| {
        if std::mem::replace(&mut woken, true) {
            Pin::new(&mut wire).poll_read(cx, &mut ReadBuf::new(&mut [0; 64]))
        } else {
            Poll::Pending
        }
    });
    let end = timeout(Duration::from_secs(30), end).await.expect("the timer wakes the task");
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

/// A client that reads nothing, and a wire to it inside TLS that can write no more.
async fn stuck() -> (TlsStream<TcpStream>, Wire) {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/data");
    let (certificate, key) = (format!("{data}/one.pem"), format!("{data}/one.key"));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&certificate).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let shown = Certificates::new(&Arc::new(Tls::open(&TlsRoute { certificate, key }, None)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16_384).unwrap();
    let tcp = socket.connect(listener.local_addr().unwrap()).await.unwrap();
    let name = ServerName::try_from("shop.example").unwrap();
    let (client, stream) = tokio::join!(
        TlsConnector::from(Arc::new(config)).connect(name, tcp),
        Stream::new(listener.accept().await.unwrap().0).inside_tls(&shown),
    );
    let long = Duration::from_hours(1);
    let mut wire = Wire::new(stream.unwrap(), Arc::default(), long, long);
    // The system moves on for a moment what it has taken, and then takes more.
    fill(&mut wire).await;
    while timeout(Duration::from_millis(100), wire.flush()).await.is_ok() {
        fill(&mut wire).await;
    }
    (client.unwrap(), wire)
}

/// Writes until what was taken has not all left.
async fn fill(wire: &mut Wire) {
    poll_fn(|cx| {
        while Pin::new(&mut *wire).poll_flush(cx).is_ready() {
            assert!(Pin::new(&mut *wire).poll_write(cx, &[b'x'; 16_384]).is_ready());
        }
        Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn what_waits_inside_tls_is_given_up_with_a_client_that_takes_nothing() {
    let (_client, mut wire) = stuck().await;
    wire.idle_within = Duration::from_millis(50);
    wire.write_by = None;
    let flushed = timeout(Duration::from_secs(30), wire.flush()).await.expect("it is given up");
    assert_eq!(flushed.unwrap_err().kind(), io::ErrorKind::TimedOut);

    let (_client, mut wire) = stuck().await;
    wire.idle_within = Duration::from_millis(50);
    wire.write_by = None;
    let closed = timeout(Duration::from_secs(30), wire.shutdown()).await.expect("it is given up");
    assert_eq!(closed.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn a_client_that_takes_a_little_is_not_given_up() {
    let (mut client, mut wire) = stuck().await;
    let (by, gone) = (wire.write_by.expect("the limit runs"), wire.stream.gone());
    let mut piece = vec![0; 65_536];
    while wire.stream.gone() == gone {
        client.read_exact(&mut piece).await.unwrap();
        let _ = timeout(Duration::from_millis(10), wire.flush()).await;
    }
    fill(&mut wire).await;
    assert!(wire.write_by.expect("it runs anew") > by);
}
