//! Small real servers and clients.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rollout::evidence::TripSpec;
use rollout::route::{
    Bad, CanaryRoute, DoorRoute, Generation, HealthCheck, Protocol, Route, Segments, ServiceRoute,
    Snapshot, Sticky, Timeouts, TrackRoute, TripRule,
};
use rollout::units::{Millis, Weight};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use traffic::{Counters, ObservedService, Proxy, ProxySettings, ReleaseCounters};

pub(crate) type Body = BoxBody<Bytes, std::io::Error>;

/// A body of these bytes.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

pub(crate) fn status(status: u16) -> Response<Body> {
    Response::builder().status(status).body(full("")).unwrap()
}

/// A server of ours; it ends when this is dropped.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    /// Requests that were no health checks.
    pub(crate) requests: Arc<AtomicU64>,
    /// Connections that carried such requests first.
    pub(crate) connections: Arc<AtomicU64>,
    /// How many of those have ended.
    pub(crate) ended: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Backend {
    /// Answers health checks well and everything else with its name.
    pub(crate) async fn named(name: &'static str) -> Self {
        Self::start(move |_| async move { Response::new(full(name)) }).await
    }

    /// Answers health checks well and everything else with `answer`.
    pub(crate) async fn start<A, F>(answer: A) -> Self
    where
        A: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::with_health(answer, || true).await
    }

    /// With health checks answered as `healthy` says.
    pub(crate) async fn with_health<A, F>(
        answer: A,
        healthy: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self
    where
        A: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, connections) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let ended = Arc::new(AtomicU64::new(0));
        let (seen, opened, over) =
            (Arc::clone(&requests), Arc::clone(&connections), Arc::clone(&ended));
        let healthy = Arc::new(healthy);
        let answer: Arc<
            dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response<Body>> + Send + Sync,
        > = Arc::new(move |request| Box::pin(answer(request)));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (seen, opened, healthy, answer) = (
                    Arc::clone(&seen),
                    Arc::clone(&opened),
                    Arc::clone(&healthy),
                    Arc::clone(&answer),
                );
                let first = Arc::new(AtomicU64::new(1));
                let (unused, over) = (Arc::clone(&first), Arc::clone(&over));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (healthy, answer) = (Arc::clone(&healthy), Arc::clone(&answer));
                    let is_check = request.uri().path() == "/health";
                    if !is_check {
                        seen.fetch_add(1, Ordering::Relaxed);
                        opened.fetch_add(first.swap(0, Ordering::Relaxed), Ordering::Relaxed);
                    }
                    async move {
                        let answered = if is_check {
                            status(if healthy() { 200 } else { 503 })
                        } else {
                            answer(request).await
                        };
                        Ok::<_, Infallible>(answered)
                    }
                });
                tokio::spawn(async move {
                    let _ = hyper::server::conn::http1::Builder::new()
                        .half_close(true)
                        .max_headers(200)
                        .serve_connection(TokioIo::new(stream), service)
                        .with_upgrades()
                        .await;
                    over.fetch_add(1 - unused.load(Ordering::Relaxed), Ordering::Relaxed);
                });
            }
        });
        Self { address, requests, connections, ended, task }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// A service `shop` that keeps users by the header `x-user`.
pub(crate) fn shop(stable: SocketAddr) -> ServiceRoute {
    ServiceRoute {
        service: "shop".to_owned(),
        listen: "127.0.0.1:0".to_owned(),
        door: DoorRoute::default(),
        route: Route::default(),
        testers: None,
        segments: Segments::default(),
        stable: Some(track("v1", stable)),
        canary: None,
        sticky: Sticky::Header("x-user".to_owned()),
        health: HealthCheck {
            path: "/health".to_owned(),
            every: Millis(20),
            timeout: Millis(2_000),
            healthy_after: 1,
            unhealthy_after: 2,
        },
        timeouts: Timeouts {
            total: None,
            head: Millis(10_000),
            connect: Millis(5_000),
            first_byte: Millis(20_000),
            idle: Millis(20_000),
        },
        shield: None,
        balance: rollout::route::Balance::default(),
        drain: Millis(10_000),
        latency_limits_us: vec![200_000],
    }
}

pub(crate) fn track(release: &str, address: SocketAddr) -> TrackRoute {
    TrackRoute {
        release: release.to_owned(),
        upstreams: vec![address.to_string()],
        protocol: Protocol::Http1,
    }
}

/// The release `v2` with this share, unguarded.
pub(crate) fn canary(address: SocketAddr, percent: u32) -> CanaryRoute {
    CanaryRoute {
        track: track("v2", address),
        weight: Weight::percent(percent),
        mirror: Weight::ZERO,
        salt: "rollout-1".to_owned(),
        guard_key: "rollout-1/1".to_owned(),
        trips: Vec::new(),
    }
}

/// A guard against failing half of everything, wrong once in ten thousand.
pub(crate) fn rule() -> TripRule {
    TripRule {
        gate: "error_rate".to_owned(),
        bad: Bad::Failed,
        spec: TripSpec {
            limit: 0.25,
            psi: 1.5,
            ln_threshold: 10_000_f64.ln(),
            restart_every: Millis::from_secs(60),
            restarts: 10,
        },
    }
}

pub(crate) fn snapshot(seq: u64, services: impl Into<Vec<ServiceRoute>>) -> Snapshot {
    Snapshot { generation: Generation { epoch: 1, seq }, services: services.into() }
}

/// A proxy that serves this, all of whose upstreams have been asked.
pub(crate) async fn proxy(service: ServiceRoute) -> (Proxy, SocketAddr) {
    let proxy = Proxy::start(ProxySettings { threads: 2, ..ProxySettings::default() }).unwrap();
    let name = service.service.clone();
    proxy.apply(snapshot(1, [service])).unwrap();
    until("every upstream was asked", || {
        observed(&proxy, &name)
            .upstreams
            .iter()
            .all(|upstream| upstream.health != traffic::Health::Unknown)
    })
    .await;
    let address = observed(&proxy, &name).listening.unwrap();
    (proxy, address)
}

pub(crate) fn observed(proxy: &Proxy, service: &str) -> ObservedService {
    proxy.observed().services.remove(service).unwrap_or_default()
}

pub(crate) fn counted(proxy: &Proxy, release: &str) -> ReleaseCounters {
    let Counters { mut services, .. } = proxy.counters();
    services.remove("shop").and_then(|mut shop| shop.releases.remove(release)).unwrap_or_default()
}

/// Waits until something is so; after 30 s it never will be.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..15_000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("never came about: {what}");
}

/// A client with one kept connection.
pub(crate) struct Http {
    sender: SendRequest<Body>,
    address: SocketAddr,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Http {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender, address }
    }

    /// Sends a request; its head is answered, its body may be on its way.
    pub(crate) async fn begin(
        &mut self,
        mut request: Request<Body>,
    ) -> hyper::Result<Response<Incoming>> {
        let host = self.address.to_string().parse().unwrap();
        request.headers_mut().entry(http::header::HOST).or_insert(host);
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }

    pub(crate) async fn send(&mut self, request: Request<Body>) -> hyper::Result<Answer> {
        let (head, body) = self.begin(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// GET as a user.
    pub(crate) async fn get(&mut self, user: &str) -> Answer {
        let request = Request::get("/").header("x-user", user).body(full("")).unwrap();
        self.send(request).await.unwrap()
    }
}

/// GET on a connection of its own.
pub(crate) async fn get(address: SocketAddr, user: &str) -> Answer {
    Http::connect(address).await.get(user).await
}

/// Sends bytes as they are and reads until the other side closes; `half_close` ends the
/// sending half at once.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8], half_close: bool) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    if half_close {
        stream.shutdown().await.unwrap();
    }
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
    read.expect("the connection is closed").expect("without a reset");
    String::from_utf8_lossy(&answer).into_owned()
}
