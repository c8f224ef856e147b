//! Testers, and segments of users: on a side whatever their bucket, and no evidence.

use std::net::SocketAddr;

use http::{Request, Response};
use rollout::evidence::Apart;
use rollout::route::{Mark, Segment, Segments, ServiceRoute, Testers};
use rollout::units::Weight;
use traffic::Proxy;

use crate::kit::{
    Answer, Backend, Http, canary, counted, full, get, observed, proxy, rule, shop, snapshot,
    status, until,
};
use crate::shield::shielded;

const SECRET: &str = "correct horse battery staple";
/// SHA-256 of it, as `sha256sum` says.
const DIGEST: &str = "c4bbcb1fbec99d65bf59d85c8cb62ee2db963f0fe106f483d9afa73bd4e39a8a";

/// A service with testers, with users of tenant `a` always on the canary, and those of the plan
/// `gold` never; none of its other users meet the canary at this seed and weight.
fn service(stable: SocketAddr, v2: SocketAddr, percent: u32) -> ServiceRoute {
    let segment = |mark: Mark, value: &str| Segment { mark, values: vec![value.to_owned()] };
    let always = vec![segment(Mark::Header("X-Tenant".to_owned()), "a")];
    let never = vec![segment(Mark::Cookie("plan".to_owned()), "gold")];
    let mut service = shop(stable);
    service.canary = Some(canary(v2, percent));
    service.testers =
        Some(Testers { header: "x-sluice-canary".to_owned(), digest: Some(DIGEST.to_owned()) });
    service.segments = Segments { always, never };
    service
}

async fn ask(http: &mut Http, fields: &[(&str, &str)]) -> Answer {
    let request = fields
        .iter()
        .fold(Request::get("/"), |request, (name, value)| request.header(*name, *value));
    http.send(request.body(full("")).unwrap()).await.unwrap()
}

/// Names itself, and what it is told of the secret.
async fn told(name: &'static str) -> Backend {
    Backend::start(move |request| async move {
        let told = request.headers().contains_key("x-sluice-canary");
        Response::new(full(format!("{name}{}", if told { " and knows" } else { "" })))
    })
    .await
}

fn apart(proxy: &Proxy, release: &str) -> [[u64; 2]; 2] {
    let counts = counted(proxy, release).counts;
    [counts.testers, counts.segments].map(|Apart { requests, failures }| [requests, failures])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn testers_meet_the_side_they_ask_for_and_nobody_else_is_told_the_secret() {
    let (v1, v2) = (told("v1").await, told("v2").await);
    let (proxy, address) = proxy(service(v1.address, v2.address, 0)).await;
    let mut http = Http::connect(address).await;
    let stable = format!("stable {SECRET}");
    for (value, text, track) in [
        (SECRET, "v2", Some("canary")),
        (&*stable, "v1", Some("stable")),
        ("wrong", "v1", None),
        ("stable", "v1", None),
    ] {
        let answer = ask(&mut http, &[("x-sluice-canary", value)]).await;
        assert_eq!(answer.text(), text, "{value}");
        let said = answer.headers.get("sluice-track").map(|track| track.to_str().unwrap());
        assert_eq!(said, track, "{value}");
    }
    assert_eq!(apart(&proxy, "v2"), [[1, 0], [0, 0]]);
    assert_eq!(apart(&proxy, "v1"), [[1, 0], [0, 0]]);
    assert_eq!(counted(&proxy, "v2").counts.requests, 0);
    assert_eq!(counted(&proxy, "v1").counts.requests, 2, "who has no secret is like all others");

    // Nor while the secret is not known here.
    let mut unknown = service(v1.address, v2.address, 0);
    unknown.testers.as_mut().unwrap().digest = None;
    proxy.apply(snapshot(2, [unknown])).unwrap();
    assert_eq!(ask(&mut http, &[("x-sluice-canary", SECRET)]).await.text(), "v1");

    // Also where everybody meets the canary, and not when it is shut out.
    let mut full_share = service(v1.address, v2.address, 0);
    full_share.canary.as_mut().unwrap().weight = Weight::FULL;
    proxy.apply(snapshot(3, [full_share])).unwrap();
    assert_eq!(ask(&mut http, &[("x-sluice-canary", &stable)]).await.text(), "v1");
    assert!(proxy.shut("shop"));
    let answer = ask(&mut http, &[("x-sluice-canary", SECRET)]).await;
    assert_eq!(
        (answer.text(), &answer.headers["sluice-track"]),
        ("v1", &"stable".parse().unwrap())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_are_on_their_side_at_every_weight_but_none_and_counted_apart() {
    let (v1, v2) = (told("v1").await, told("v2").await);
    let at = |steps| {
        let mut service = service(v1.address, v2.address, 0);
        service.canary.as_mut().unwrap().weight = Weight::from_steps(steps).unwrap();
        service
    };
    let (proxy, address) = proxy(at(0)).await;
    let mut http = Http::connect(address).await;
    let tenant = [("x-tenant", "a"), ("x-user", "u")];
    let gold = [("x-tenant", "a"), ("x-user", "u"), ("cookie", "plan=gold")];
    assert_eq!(ask(&mut http, &tenant).await.text(), "v1", "nobody meets it yet");
    assert_eq!(ask(&mut http, &gold).await.text(), "v1");
    assert_eq!(counted(&proxy, "v1").counts.requests, 2, "like all others meanwhile");
    for (seq, steps) in [(2, 1), (3, 100_000)] {
        proxy.apply(snapshot(seq, [at(steps)])).unwrap();
        assert_eq!(ask(&mut http, &tenant).await.text(), "v2");
        assert_eq!(ask(&mut http, &gold).await.text(), "v1");
    }
    assert_eq!(apart(&proxy, "v2"), [[0, 0], [2, 0]]);
    assert_eq!(apart(&proxy, "v1"), [[0, 0], [2, 0]]);
    assert_eq!(counted(&proxy, "v2").counts.requests, 0);
    assert_eq!(counted(&proxy, "v1").counts.requests, 2);
    assert!(counted(&proxy, "v2").counts.latency.is_empty());
    assert!(proxy.shut("shop"));
    assert_eq!(ask(&mut http, &tenant).await.text(), "v1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_testers_and_segments_meet_shuts_no_gate_and_only_testers_see_it() {
    let v1 = told("v1").await;
    let v2 = Backend::start(|_| async { status(503) }).await;
    let mut service = service(v1.address, v2.address, 0);
    let canary = service.canary.as_mut().unwrap();
    (canary.weight, canary.trips) = (Weight::from_steps(1).unwrap(), vec![rule()]);
    service.shield = shielded(v1.address, v2.address).shield;
    let (proxy, address) = proxy(service).await;
    let mut http = Http::connect(address).await;
    for _ in 0..60 {
        assert_eq!(ask(&mut http, &[("x-sluice-canary", SECRET)]).await.status, 503);
        let spared = ask(&mut http, &[("x-tenant", "a")]).await;
        assert_eq!((spared.status.as_u16(), spared.text()), (200, "v1"));
    }
    until("the last one is counted", || apart(&proxy, "v2") == [[60, 60], [60, 60]]).await;
    let counts = counted(&proxy, "v2").counts;
    assert_eq!((counts.requests, counts.failures, counts.shielded), (0, 0, 0));
    assert_eq!(observed(&proxy, "shop").withheld, None);
    assert_eq!(get(address, "u").await.text(), "v1");
}
