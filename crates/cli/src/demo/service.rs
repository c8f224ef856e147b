//! The service the demo releases: a small HTTP server of our own, one process a version.
//!
//! `GET /` or `GET /api` prices a basket and answers JSON with the build's name; `GET /health` answers
//! `ok`. The header `x-build` of every answer names the build, so that the load can tell who
//! answered without reading bodies.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::build::Build;
use super::leash;
use crate::exit::{Exit, Failure};
use crate::signals;

/// The header that names the build.
pub(super) const BUILD_HEADER: &str = "x-build";
/// Connections that may wait to be accepted; the system may allow fewer.
const BACKLOG: u32 = 4_096;
/// Articles in a basket.
const ARTICLES: u64 = 200;

/// Serves `build` on `port` of the loopback address until it is asked to stop, or the demo
/// that holds `leash` is gone; requests under way are answered first.
///
/// # Errors
/// The port is taken, or nobody holds the leash.
pub(crate) async fn serve(build: Build, port: u16, leash: Option<&Path>) -> Result<Exit, Failure> {
    let mut asked = signals::Stop::new().map_err(Failure::ours)?;
    let mut gone = pin!(leash::hold(leash).await.map_err(|error| {
        Failure::ours(format!("the demo this process belongs to is not there: {error}"))
    })?);
    let listener = listen(port)
        .map_err(|error| Failure::ours(format!("cannot listen on 127.0.0.1:{port}: {error}")))?;
    let shop = Arc::new(Shop { build, requests: AtomicU64::new(0) });
    let closing = watch::Sender::new(false);
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(open.spawn(converse(stream, shop.clone(), closing.subscribe()))),
                Err(error) => return Err(Failure::ours(format!("cannot accept connections: {error}"))),
            },
            Some(_) = open.join_next() => {}
            () = asked.wait() => break,
            () = &mut gone => break,
        }
    }
    drop(listener);
    closing.send_replace(true);
    while open.join_next().await.is_some() {}
    Ok(Exit::Done)
}

/// Listens with room for everybody who may come at once: when a release goes from 10 % to all
/// users, hundreds of connections are opened in an instant.
fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // A port that was in use a moment ago may be taken again.
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.listen(BACKLOG)
}

/// One connection, to its end or to the end of the request under way when closing.
async fn converse(stream: TcpStream, shop: Arc<Shop>, mut closing: watch::Receiver<bool>) {
    // Answers are small; waiting for more to send would only make them late.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let shop = shop.clone();
        async move { Ok::<_, Infallible>(shop.answer(request).await) }
    });
    let mut connection =
        pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    // A connection that breaks is the client's to notice.
    tokio::select! {
        _ = connection.as_mut() => {}
        // It changes once, from open to closing.
        _ = closing.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

struct Shop {
    build: Build,
    /// Requests so far, health checks left out.
    requests: AtomicU64,
}

impl Shop {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/" | "/api") => self.price().await,
            (&Method::GET, "/health") => self.says(StatusCode::OK, &json!({ "status": "ok" })),
            _ => {
                self.says(StatusCode::NOT_FOUND, &json!({ "error": "there is only / and /health" }))
            }
        }
    }

    async fn price(&self) -> Response<Full<Bytes>> {
        let nth = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        tokio::time::sleep(self.build.wait()).await;
        if self.build.succeeds(nth) {
            let cents = basket_cents(nth);
            self.says(StatusCode::OK, &json!({ "articles": ARTICLES, "cents": cents }))
        } else {
            let why = json!({ "error": "no database connection" });
            self.says(StatusCode::INTERNAL_SERVER_ERROR, &why)
        }
    }

    fn says(&self, status: StatusCode, what: &Value) -> Response<Full<Bytes>> {
        let mut body = what.clone();
        let build = self.build.to_string();
        if let Some(fields) = body.as_object_mut() {
            fields.insert("build".to_owned(), build.as_str().into());
        }
        let mut response = Response::new(Full::from(body.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // The name of a build is ASCII.
        if let Ok(build) = HeaderValue::from_str(&build) {
            headers.insert(BUILD_HEADER, build);
        }
        response
    }
}

/// The price of the `nth` basket: a little work with a result that somebody reads.
fn basket_cents(nth: u64) -> u64 {
    (0..ARTICLES).map(|article| (nth ^ article.wrapping_mul(0x9e37_79b9_7f4a_7c15)) % 9_973).sum()
}
