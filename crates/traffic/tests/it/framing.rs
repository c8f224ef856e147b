//! Bodies whose length is said in an unusual way, and that nobody loses a byte of them.

use std::time::Duration;

use http::Response;
use http_body_util::BodyExt;
use rollout::units::Millis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::blunt::{blunt, read_head};
use crate::kit::{Backend, counted, full, get, proxy, raw, shop};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_in_chunks_that_also_says_a_length_arrives_whole() {
    let v1 = blunt(|mut stream, _| async move {
        read_head(&mut stream).await;
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n\
                      5\r\nhello\r\n0\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let (proxy, address) = proxy(shop(v1)).await;
    let answer = get(address, "u").await;
    assert_eq!(answer.text(), "hello");
    assert!(!answer.headers.contains_key("content-length"), "{:?}", answer.headers);
    assert_eq!(counted(&proxy, "v1").bytes_out, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_in_chunks_goes_with_any_method() {
    let v1 = Backend::start(|request| async {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::builder().header("x-bytes", body.len()).body(full(body)).unwrap()
    })
    .await;
    let (proxy, address) = proxy(shop(v1.address)).await;
    let methods = ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "QUERY"];
    for method in methods {
        let request = format!(
            "{method} / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\
             Connection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        );
        let answer = raw(address, request.as_bytes(), false).await;
        assert!(answer.contains("x-bytes: 5\r\n"), "{method}: {answer:?}");
    }
    assert_eq!(counted(&proxy, "v1").bytes_in, 5 * methods.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_head_does_not_end_the_answer_before_it() {
    const BYTES: usize = 16 << 20;
    let v1 = Backend::start(|_| async { Response::new(full(vec![b'x'; BYTES])) }).await;
    let mut service = shop(v1.address);
    service.timeouts.head = Millis(200);
    let (_proxy, address) = proxy(service).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT").await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), client.read_to_end(&mut answer)).await;
    let read = read.expect("the half head has its limit after the answer");
    assert!(read.is_ok() && answer.len() > BYTES, "{read:?}");
}
