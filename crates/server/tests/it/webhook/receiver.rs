//! A receiver on this machine that answers as it is told and remembers what came.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let of = |line: &&str| {
            line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name))
        };
        self.head.lines().find(of).map(|line| line[name.len() + 1..].trim())
    }
}

/// The receiver; it ends with the test's runtime.
pub(crate) struct Receiver {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    /// Whether it answers.
    gate: watch::Sender<bool>,
}

impl Receiver {
    /// Answers every request with `answer`, the bytes of a whole response.
    pub(crate) async fn new(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<Vec<u8>> = Arc::new(answer.into());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = requests.clone();
        let (gate, open) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, answer.clone(), kept.clone(), open.clone()));
            }
        });
        Self { port, requests, gate }
    }

    /// From now on requests are taken and remembered, and answered once this is lifted.
    pub(crate) fn hold(&self, hold: bool) {
        self.gate.send_replace(!hold);
    }

    /// A response with nothing but a status and headers.
    pub(crate) async fn with_status(status: u16, headers: &str) -> Self {
        Self::new(format!("HTTP/1.1 {status} Any\r\n{headers}content-length: 0\r\n\r\n")).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

async fn take(
    mut stream: TcpStream,
    answer: Arc<Vec<u8>>,
    requests: Arc<Mutex<Vec<Request>>>,
    mut open: watch::Receiver<bool>,
) {
    let Some(request) = read(&mut stream).await else { return };
    requests.lock().unwrap().push(request);
    drop(open.wait_for(|open| *open).await);
    let _gone = stream.write_all(&answer).await;
}

/// The whole request, or nothing when the sender went away.
async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut text = String::new();
    loop {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.ok().filter(|count| *count > 0)?;
        text.push_str(std::str::from_utf8(&piece[..count]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let request = Request { head: head.to_owned(), body: body.to_owned() };
        if request.header("content-length").unwrap().parse() == Ok(body.len()) {
            return Some(request);
        }
    }
}
