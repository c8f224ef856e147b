//! Several services behind one address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::header::HOST;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rollout::route::{Route, ServiceRoute};
use tokio::net::TcpStream;
use traffic::{Applied, Proxy, ProxySettings};

use crate::kit::{Answer, Backend, Http, full, get, observed, raw, shop, snapshot, until};

/// A service of this name for these hosts and paths; all share one address.
fn service(name: &str, backend: &Backend, hosts: &[&str], paths: &[&str]) -> ServiceRoute {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    ServiceRoute {
        service: name.to_owned(),
        route: Route { hosts: owned(hosts), paths: owned(paths) },
        ..shop(backend.address)
    }
}

fn start(services: &[ServiceRoute]) -> (Proxy, SocketAddr) {
    let proxy = Proxy::start(ProxySettings { threads: 2, ..ProxySettings::default() }).unwrap();
    assert_eq!(apply(&proxy, 1, services), [""; 0]);
    let address = observed(&proxy, &services[0].service).listening.unwrap();
    (proxy, address)
}

/// Takes a snapshot; what is refused of it.
fn apply(proxy: &Proxy, seq: u64, services: &[ServiceRoute]) -> Vec<String> {
    match proxy.apply(snapshot(seq, services)).unwrap() {
        Applied::InForce(refused) => refused.iter().map(ToString::to_string).collect(),
        Applied::Ignored => panic!("it is newer"),
    }
}

async fn ask(http: &mut Http, host: &str, path: &str) -> Answer {
    http.send(Request::get(path).header(HOST, host).body(full("")).unwrap()).await.unwrap()
}

/// Answers with its name and the path it was asked for.
async fn told(name: &'static str) -> Backend {
    Backend::start(move |request| async move {
        let asked = request.uri().path_and_query().map_or("", |path| path.as_str()).to_owned();
        Response::new(full(format!("{name} {asked}")))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_reaches_every_service_of_its_address() {
    let (web, api, blog) = (told("web").await, told("api").await, told("blog").await);
    let (proxy, address) = start(&[
        service("web", &web, &["shop.example"], &[]),
        service("api", &api, &["shop.example"], &["/api"]),
        service("blog", &blog, &["*.blog.example"], &[]),
    ]);
    for name in ["web", "api", "blog"] {
        assert_eq!(observed(&proxy, name).listening, Some(address));
    }
    let mut http = Http::connect(address).await;
    for (host, path, expected) in [
        ("shop.example", "/api/x?y=1", "api /api/x?y=1"),
        ("Shop.Example:80", "/apix", "web /apix"),
        ("a.blog.example", "/api", "blog /api"),
    ] {
        let answer = ask(&mut http, host, path).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, expected));
    }
    let lost = ask(&mut http, "blog.example", "/").await;
    let text = "no service is for this host and path\n";
    assert_eq!((lost.status.as_u16(), lost.text()), (404, text));
    let doubtful = ask(&mut http, "shop.example", "/x/..%2fapi").await;
    assert_eq!(doubtful.status, 400);
    assert!(doubtful.text().starts_with("the path can be read in several ways"));
    let counters = proxy.counters();
    assert_eq!(counters.unrouted.into_values().collect::<Vec<_>>(), [2]);
    let requests = |name: &str| counters.services[name].releases["v1"].counts.requests;
    assert_eq!([requests("web"), requests("api"), requests("blog")], [1, 1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_of_every_form_are_for_the_host_they_name() {
    let (web, api) = (told("web").await, told("api").await);
    let (_proxy, address) = start(&[
        service("web", &web, &["web.example"], &[]),
        service("api", &api, &["api.example"], &["/api"]),
    ]);
    let absolute =
        "GET http://api.example/api/x HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n\r\n";
    assert!(raw(address, absolute.as_bytes(), false).await.contains("api /api/x"));
    let nameless = raw(address, b"GET /api HTTP/1.0\r\n\r\n", false).await;
    assert!(
        nameless.starts_with("HTTP/1.1 404 ") || nameless.starts_with("HTTP/1.0 404 "),
        "{nameless}"
    );
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for (target, expected) in
        [("http://api.example/api/y", "api /api/y"), ("http://web.example/", "web /")]
    {
        let answer = sender.send_request(Request::get(target).body(full("")).unwrap()).await;
        let body = answer.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_lost_while_services_come_to_an_address_and_leave_it() {
    let (web, api, heir) = (told("web").await, told("api").await, told("heir").await);
    let all = service("web", &web, &[], &[]);
    let part = service("api", &api, &[], &["/api"]);
    let other = service("heir", &heir, &[], &[]);
    let (proxy, address) = start(std::slice::from_ref(&all));
    let (over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (over, done) = (Arc::clone(&over), Arc::clone(&done));
            tokio::spawn(async move {
                let mut http = Http::connect(address).await;
                while !over.load(Ordering::Relaxed) {
                    let answer = ask(&mut http, "a", "/api/x").await;
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let sets: [&[ServiceRoute]; 4] = [
        &[all.clone(), part.clone()],
        &[part.clone(), other.clone()],
        std::slice::from_ref(&other),
        std::slice::from_ref(&all),
    ];
    for (seq, set) in (2..202).zip(sets.iter().cycle()) {
        let before = done.load(Ordering::Relaxed);
        assert_eq!(apply(&proxy, seq, set), [""; 0]);
        until("requests go on", || done.load(Ordering::Relaxed) >= before + 10).await;
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert!([&web, &api, &heir].iter().all(|backend| backend.requests() > 0));
    assert_eq!(proxy.counters().unrouted.len(), 0);
    assert!(proxy.counters().services.values().all(|service| service.unserved == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_at_odds_with_another_of_its_address_is_refused_and_keeps_what_it_has() {
    let (web, api) = (told("web").await, told("api").await);
    let all = service("web", &web, &[], &[]);
    let part = service("api", &api, &[], &["/api"]);
    let (proxy, address) = start(&[all.clone(), part.clone()]);
    let refused = |seq, changed: ServiceRoute| apply(&proxy, seq, &[all.clone(), changed]);
    assert_eq!(
        refused(2, service("api", &api, &[], &[])),
        ["service \"api\" cannot share 127.0.0.1:0 with \"web\": both are for everything"]
    );
    assert!(ask(&mut Http::connect(address).await, "a", "/api").await.text().starts_with("api"));
    let mut proxied = part.clone();
    proxied.door.proxy_protocol_from = vec!["10.0.0.0/8".parse().unwrap()];
    assert_eq!(
        refused(3, proxied),
        [
            "service \"api\" cannot share 127.0.0.1:0 with \"web\": they differ in `listen.proxy_protocol_from`"
        ]
    );
    assert_eq!(
        refused(4, service("api", &api, &["a b"], &[])),
        ["service \"api\" is for \"a b\", which is no host"]
    );
    assert!(ask(&mut Http::connect(address).await, "a", "/api").await.text().starts_with("api"));
    assert_eq!(refused(5, part.clone()), [""; 0]);
    // One that goes on as it is gives way to one that may be served as it asks.
    let mut broken = all.clone();
    broken.latency_limits_us = vec![5, 5];
    assert_eq!(apply(&proxy, 6, &[broken, service("api", &api, &[], &[])]).len(), 1);
    assert!(ask(&mut Http::connect(address).await, "a", "/").await.text().starts_with("api"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_cannot_move_stays_among_those_it_shared_with() {
    let (web, api) = (told("web").await, told("api").await);
    let all = service("web", &web, &[], &[]);
    let mut part = service("api", &api, &[], &["/api"]);
    let (proxy, address) = start(&[all.clone(), part.clone()]);
    let blocker = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    part.listen = blocker.local_addr().unwrap().to_string();
    assert_eq!(apply(&proxy, 2, &[all.clone(), part.clone()]).len(), 1);
    assert!(ask(&mut Http::connect(address).await, "a", "/api").await.text().starts_with("api"));
    drop(blocker);
    let moved = part.listen.parse().unwrap();
    assert_eq!(apply(&proxy, 3, &[all, part]), [""; 0]);
    assert!(ask(&mut Http::connect(address).await, "a", "/api").await.text().starts_with("web"));
    assert!(ask(&mut Http::connect(moved).await, "a", "/api").await.text().starts_with("api"));
    assert_eq!(get(moved, "u").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_service_has_its_own_limit_on_bodies() {
    let (web, api) = (told("web").await, told("api").await);
    let mut part = service("api", &api, &[], &["/api"]);
    part.door.limits.body = Some(10);
    let (_proxy, address) = start(&[service("web", &web, &[], &[]), part]);
    for (path, expected) in [("/api", 413), ("/", 200)] {
        let mut http = Http::connect(address).await;
        let answer = http.send(Request::post(path).body(full(vec![b'x'; 11])).unwrap()).await;
        assert_eq!(answer.unwrap().status.as_u16(), expected);
    }
}
