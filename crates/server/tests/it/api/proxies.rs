//! What a proxy process and the controller tell each other.

use rollout::evidence::TrackCounts;
use rollout::evidence::histogram::BUCKETS;
use rollout::route::Generation;
use serde_json::json;
use server::engine::{Counted, ProxyReport, ProxySync};
use traffic::Observed;

use super::client::Ask;
use super::world::Controller;

fn report(name: &str, generation: Generation) -> serde_json::Value {
    let report = ProxyReport {
        name: name.to_owned(),
        generation,
        counted: Some(Counted::default()),
        observed: Observed::default(),
        trips: Vec::new(),
        leaving: false,
    };
    serde_json::to_value(report).unwrap()
}

#[tokio::test]
async fn a_proxy_is_told_what_to_serve_as_soon_as_it_is_new() {
    let mut controller = Controller::without_proxy().await;
    let sync = async |generation| -> ProxySync {
        let ask = Ask::post("/api/proxies/edge/sync").json(&report("edge", generation));
        controller.ask(ask).await.json()
    };
    let nothing = sync(Generation::default()).await.snapshot;
    let known = nothing.generation;
    assert_eq!(sync(known).await.snapshot.generation, known, "nothing newer");
    let id = controller.create("1.0").await;
    let mut newest = known;
    // Each sync waits up to a second for news; the version has to start first.
    for _ in 0..60 {
        let snapshot = sync(newest).await.snapshot;
        assert!(snapshot.generation >= newest, "never older");
        newest = snapshot.generation;
        let stable = snapshot.services.iter().find_map(|service| service.stable.as_ref());
        if let Some(stable) = stable {
            assert_eq!(stable.release, id);
            assert_eq!(stable.upstreams.len(), 1);
            controller.stop().await;
            return;
        }
    }
    panic!("the proxy was never told of {id}");
}

#[tokio::test]
async fn a_report_under_another_name_is_refused() {
    let mut controller = Controller::without_proxy().await;
    let foreign = Ask::post("/api/proxies/edge/sync").json(&report("core", Generation::default()));
    assert_eq!(controller.ask(foreign).await.refusal(), (400, "invalid".to_owned()));
    let empty = Ask::post("/api/proxies/edge/sync").json(&json!({}));
    assert_eq!(controller.ask(empty).await.refusal(), (400, "invalid".to_owned()));
    controller.stop().await;
}

/// All that a proxy can have counted for four services: of each the release that serves and 16
/// former ones, with a request in every bucket.
fn full() -> Counted {
    let latency = (0..).zip(vec![1_000_000_000; BUCKETS]).collect();
    let counts = TrackCounts { requests: 1_728_000_000_000, latency, ..TrackCounts::default() };
    let releases = |service: u32| {
        let release = |number| (format!("service-{service}-{number}"), counts.clone());
        (format!("service-{service}"), (1..=17).map(release).collect())
    };
    Counted { instance: 7, services: (1..=4).map(releases).collect() }
}

#[tokio::test]
async fn a_report_of_everything_a_proxy_can_have_counted_is_taken() {
    let mut controller = Controller::without_proxy().await;
    let mut report = report("edge", Generation::default());
    report["counted"] = serde_json::to_value(full()).unwrap();
    assert!(report.to_string().len() > server::api::BODY_LIMIT, "more than others may send");
    let answer = controller.ask(Ask::post("/api/proxies/edge/sync").json(&report)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    controller.stop().await;
}

#[tokio::test]
async fn a_proxy_that_leaves_out_its_counts_is_told_what_to_serve() {
    let mut controller = Controller::without_proxy().await;
    let mut report = report("edge", Generation::default());
    report.as_object_mut().unwrap().remove("counted");
    let answer = controller.ask(Ask::post("/api/proxies/edge/sync").json(&report)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    controller.stop().await;
}
