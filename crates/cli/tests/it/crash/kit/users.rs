//! An open loop of users: request number n is sent when it is due, whatever became of the
//! others.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Place, Scatter};

/// How long a user waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// One request that came to its end.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    /// What the cookie said.
    pub(crate) user: String,
    /// When the user sent it.
    pub(crate) sent: Instant,
    /// When the whole answer was there, or the failure.
    pub(crate) came: Instant,
    /// The build that answered; or what happened instead.
    pub(crate) outcome: Result<String, String>,
}

impl Visit {
    /// Whether no version answered: it was lost on the way. (The demo's builds fail one
    /// request in 1,000 by themselves, which is an answer.)
    pub(crate) fn is_lost(&self) -> bool {
        self.outcome.is_err()
    }
}

/// Users who come until they are told to stop.
pub(crate) struct Users {
    visits: Arc<Mutex<Vec<Visit>>>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Users {
    /// So many requests a second, each of a user of its own out of 20,000.
    pub(crate) fn come(place: &Place, per_second: u32) -> Self {
        let visits = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopping) = watch::channel(false);
        let street = Arc::new(Street {
            front: place.front.to_string(),
            kept: Mutex::default(),
            visits: visits.clone(),
        });
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(arrive(street, per_second, stopping));
        });
        Self { visits, stop, thread: Some(thread) }
    }

    /// Every visit that has come to its end.
    pub(crate) fn visits(&self) -> Vec<Visit> {
        self.visits.lock().unwrap().clone()
    }

    /// Whether somebody was answered by `build` for a request sent after `since`.
    pub(crate) fn met(&self, build: &str, since: Instant) -> bool {
        let visits = self.visits.lock().unwrap();
        let mut recent = visits.iter().rev().take(10_000);
        recent.any(|visit| visit.sent > since && visit.outcome.as_deref() == Ok(build))
    }

    /// Nobody comes any more; all visits, once the last answer is there.
    pub(crate) fn leave(mut self) -> Vec<Visit> {
        self.stop.send_replace(true);
        self.thread.take().unwrap().join().unwrap();
        self.visits()
    }
}

struct Street {
    front: String,
    kept: Mutex<Vec<SendRequest<Empty<Bytes>>>>,
    visits: Arc<Mutex<Vec<Visit>>>,
}

async fn arrive(street: Arc<Street>, per_second: u32, mut stopping: watch::Receiver<bool>) {
    let mut scatter = Scatter(1);
    let start = Instant::now();
    let mut under_way = JoinSet::new();
    for nth in 0_u32.. {
        let due = start + Duration::from_secs(1) * nth / per_second;
        tokio::select! {
            biased;
            // An error means that the users were dropped.
            _ = stopping.wait_for(|stop| *stop) => break,
            () = tokio::time::sleep_until(due.into()) => {}
        }
        let user = format!("user-{}", scatter.number() % 20_000);
        under_way.spawn(visit(street.clone(), user));
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}

async fn visit(street: Arc<Street>, user: String) {
    let sent = Instant::now();
    let asked = tokio::time::timeout(PATIENCE, street.get(&user)).await;
    let outcome = asked.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
    let visit = Visit { user, sent, came: Instant::now(), outcome };
    street.visits.lock().unwrap().push(visit);
}

impl Street {
    /// The build that answered. A kept connection that was closed meanwhile, before it took the
    /// request, is nobody's failure.
    async fn get(&self, user: &str) -> Result<String, String> {
        loop {
            let kept = self.kept.lock().unwrap().pop();
            let Some(mut kept) = kept else { break };
            if kept.ready().await.is_err() {
                continue;
            }
            match kept.try_send_request(self.request(user)).await {
                Ok(response) => return self.read(kept, response).await,
                Err(mut error) => {
                    if error.take_message().is_none() {
                        return Err(error.into_error().to_string());
                    }
                }
            }
        }
        let stream = TcpStream::connect(&self.front).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let shaken = handshake(TokioIo::new(stream)).await;
        let (mut fresh, connection) = shaken.map_err(|error| error.to_string())?;
        // How it ends is told to the request it carries.
        tokio::spawn(async move { drop(connection.await) });
        let response = fresh.send_request(self.request(user)).await;
        self.read(fresh, response.map_err(|error| error.to_string())?).await
    }

    fn request(&self, user: &str) -> Request<Empty<Bytes>> {
        let request = Request::get("/").header("host", &self.front);
        request.header("cookie", format!("user_id={user}")).body(Empty::new()).unwrap()
    }

    async fn read(
        &self,
        connection: SendRequest<Empty<Bytes>>,
        response: hyper::Response<hyper::body::Incoming>,
    ) -> Result<String, String> {
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| format!("it broke off: {error}"))?;
        self.kept.lock().unwrap().push(connection);
        let build = head.headers.get("x-build").and_then(|build| build.to_str().ok());
        build.map(str::to_owned).ok_or_else(|| {
            format!("{}: {}", head.status, String::from_utf8_lossy(&body.to_bytes()))
        })
    }
}
