//! Limits in time, as a connection meets them.

use std::future::poll_fn;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

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
