//! Clients that forgive nothing: each asks one thing after the other, and whatever is not an
//! answer of a version is told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// How a client uses connections.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// HTTP/1.1, one connection for as long as the proxy lets it.
    Kept,
    /// HTTP/1.1, a connection for each request.
    Fresh,
    /// HTTP/2, one connection until it is told to go.
    Streams,
}

const WAYS: [Way; 3] = [Way::Kept, Way::Fresh, Way::Streams];

/// Clients of each way.
pub(super) struct Crowd {
    talk: Arc<Talk>,
    clients: Vec<JoinHandle<()>>,
}

/// What the clients met.
#[derive(Debug)]
struct Talk {
    front: SocketAddr,
    stop: AtomicBool,
    answered: [AtomicU64; 3],
    lost: Mutex<Vec<String>>,
}

impl Crowd {
    /// So many clients of each way.
    pub(super) fn come(front: SocketAddr, each: u32) -> Self {
        let (stop, answered) = (AtomicBool::new(false), Default::default());
        let talk = Arc::new(Talk { front, stop, answered, lost: Mutex::default() });
        let all = WAYS.into_iter().flat_map(|way| (0..each).map(move |_| way));
        let clients = all.map(|way| tokio::spawn(Arc::clone(&talk).go(way))).collect();
        Self { talk, clients }
    }

    /// Answers so far, a way.
    pub(super) fn answered(&self) -> [u64; 3] {
        WAYS.map(|way| self.talk.answered[way as usize].load(Ordering::Relaxed))
    }

    /// Waits until each way got so many more answers.
    pub(super) async fn go_on(&self, more: u64) {
        let before = self.answered();
        crate::crash::kit::until("the load goes on", async || {
            let now = self.answered();
            now.iter().zip(before).all(|(now, before)| *now >= before + more).then_some(())
        })
        .await;
    }

    /// Sends everybody away: the answers of each way, and what was lost.
    pub(super) async fn leave(self) -> ([u64; 3], Vec<String>) {
        self.talk.stop.store(true, Ordering::Relaxed);
        let answered = self.answered();
        for client in self.clients {
            client.await.unwrap();
        }
        (answered, std::mem::take(&mut *self.talk.lost.lock().unwrap()))
    }
}

impl Talk {
    async fn go(self: Arc<Self>, way: Way) {
        while !self.stop.load(Ordering::Relaxed) {
            let done = match way {
                Way::Kept => self.over_http1(true).await,
                Way::Fresh => self.over_http1(false).await,
                Way::Streams => self.over_http2().await,
            };
            if let Err(why) = done {
                self.lost.lock().unwrap().push(format!("{way:?}: {why}"));
            }
        }
    }

    fn asks_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    async fn over_http1(&self, keep: bool) -> Result<(), String> {
        let stream =
            TcpStream::connect(self.front).await.map_err(|error| format!("connect: {error}"))?;
        stream.set_nodelay(true).unwrap();
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        while self.asks_on() {
            let request = Request::get("/").header("host", "shop");
            let asked = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await;
            let answer = asked.map_err(|error| format!("request: {error:?}"))?;
            let last = answer.headers().get("connection").is_some_and(|it| it == "close");
            self.read(answer, if keep { Way::Kept } else { Way::Fresh }).await?;
            if last || !keep {
                return Ok(());
            }
            sender.ready().await.map_err(|error| format!("kept, and closed: {error:?}"))?;
        }
        Ok(())
    }

    async fn over_http2(&self) -> Result<(), String> {
        let stream =
            TcpStream::connect(self.front).await.map_err(|error| format!("connect: {error}"))?;
        stream.set_nodelay(true).unwrap();
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        // Told to go, a client opens no more streams here; that is no loss.
        while self.asks_on() && sender.ready().await.is_ok() {
            let request = Request::get(format!("http://{}/", self.front));
            let request = request.body(Empty::<Bytes>::new()).unwrap();
            match sender.try_send_request(request).await {
                Ok(answer) => self.read(answer, Way::Streams).await?,
                Err(mut error) => {
                    let unsent = error.take_message().is_some();
                    let error = error.into_error();
                    let refused = unsent || is_refused(&error);
                    return if refused { Ok(()) } else { Err(format!("stream: {error:?}")) };
                }
            }
        }
        Ok(())
    }

    async fn read(&self, answer: Response<Incoming>, way: Way) -> Result<(), String> {
        let (head, body) = answer.into_parts();
        body.collect().await.map_err(|error| format!("it broke off: {error}"))?;
        if !head.headers.contains_key("x-build") {
            return Err(format!("no version answered: {}", head.status));
        }
        self.answered[way as usize].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Whether the client was told to go before it had opened the stream. It knows then that nobody
/// has seen the request, and sends it over its next connection.
fn is_refused(error: &hyper::Error) -> bool {
    format!("{error:?}").contains("GoAway(b\"\", NO_ERROR, Remote)")
}
