//! What a proxy of its own does with what the controller answers.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use reqwest::Url;
use rollout::evidence::{Tally, TripNumbers};
use rollout::route::{
    CanaryRoute, DoorRoute, Generation, HealthCheck, Protocol, Route, Segments, ServiceRoute,
    Sticky, Timeouts, TrackRoute,
};
use rollout::units::{Millis, Weight};
use tempfile::TempDir;
use traffic::{ProxySettings, Withheld};

const SECOND: Millis = Millis::from_secs(1);

/// Half of the traffic to a canary, in the stretch `guard_key`.
fn snapshot(epoch: u64, guard_key: &str) -> Snapshot {
    let track = |release: &str| TrackRoute {
        release: release.into(),
        upstreams: vec!["127.0.0.1:9".into()],
        protocol: Protocol::Http1,
    };
    let canary = CanaryRoute {
        track: track("shop-2"),
        mirror: Weight::ZERO,
        weight: Weight::percent(50),
        salt: "shop-2".into(),
        guard_key: guard_key.into(),
        trips: Vec::new(),
    };
    let service = ServiceRoute {
        service: "shop".into(),
        listen: "127.0.0.1:0".into(),
        door: DoorRoute::default(),
        route: Route::default(),
        testers: None,
        segments: Segments::default(),
        stable: Some(track("shop-1")),
        canary: Some(canary),
        sticky: Sticky::Address,
        health: HealthCheck {
            path: "/".into(),
            every: SECOND,
            timeout: SECOND,
            healthy_after: 1,
            unhealthy_after: 1,
        },
        timeouts: Timeouts {
            total: None,
            head: SECOND,
            connect: SECOND,
            first_byte: SECOND,
            idle: SECOND,
        },
        shield: None,
        balance: rollout::route::Balance::default(),
        drain: Millis(0),
        latency_limits_us: Vec::new(),
    };
    Snapshot { generation: Generation { epoch, seq: 1 }, services: vec![service] }
}

fn trip(guard_key: &str) -> TripReport {
    TripReport {
        service: "shop".into(),
        release: "shop-2".into(),
        guard_key: guard_key.into(),
        gate: "error_rate".into(),
        generation: Generation { epoch: 1, seq: 1 },
        numbers: TripNumbers {
            canary: Tally::default(),
            stable: Tally::default(),
            absolute: 9.5,
            relative: None,
        },
        ln_threshold: 9.0,
        third_failure_to_shut_us: None,
    }
}

/// A proxy that starts on what `keep` holds.
async fn resumed(folder: &TempDir) -> Plane {
    let mut keep = Keep::open(folder.path().to_owned()).unwrap();
    keep.hold();
    let settings = ProxySettings { threads: 1, access_log: None };
    let proxy = Proxy::start(settings).unwrap();
    let url = Url::parse("http://127.0.0.1:9").unwrap();
    // As `main` does; the first test to come here does it for all.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::new(url, None, String::new()).unwrap();
    let mut plane = Plane::new(proxy, client, folder.path().join("token"), "a".into(), keep);
    plane.resume().await;
    plane
}

fn keep(folder: &TempDir, snapshot: &Snapshot, trips: &[TripReport]) {
    let mut keep = Keep::open(folder.path().to_owned()).unwrap();
    keep.hold();
    keep.save_snapshot(snapshot);
    keep.save_trips(trips);
}

fn withheld(plane: &Plane) -> Option<Withheld> {
    plane.proxy.observed().services["shop"].withheld.clone()
}

#[tokio::test]
async fn a_gate_that_was_shut_stays_shut_across_a_restart_and_is_told_again() {
    let folder = tempfile::tempdir().unwrap();
    keep(&folder, &snapshot(1, "shop-2/0"), &[trip("shop-2/0")]);
    let plane = resumed(&folder).await;
    assert_eq!(withheld(&plane), Some(Withheld::Tripped { guard_key: "shop-2/0".into() }));
    assert_eq!(plane.report().trips, [trip("shop-2/0")]);
}

#[tokio::test]
async fn a_gate_of_another_stretch_shuts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    keep(&folder, &snapshot(1, "shop-2/1"), &[trip("shop-2/0")]);
    let plane = resumed(&folder).await;
    assert!(!matches!(withheld(&plane), Some(Withheld::Tripped { .. })));
}

#[tokio::test]
async fn a_trip_that_was_answered_is_kept_until_its_stretch_is_over() {
    let folder = tempfile::tempdir().unwrap();
    keep(&folder, &snapshot(1, "shop-2/0"), &[trip("shop-2/0")]);
    let mut plane = resumed(&folder).await;
    plane.answered(Ok(ProxySync { snapshot: snapshot(1, "shop-2/0") })).await;
    assert!(plane.report().trips.is_empty());
    assert_eq!(plane.keep.trips(), [trip("shop-2/0")]);
    plane.answered(Ok(ProxySync { snapshot: snapshot(2, "shop-3/0") })).await;
    assert!(plane.keep.trips().is_empty());
    assert!(!matches!(withheld(&plane), Some(Withheld::Tripped { .. })));
}

#[tokio::test]
async fn an_address_that_is_taken_keeps_no_other_service_away_and_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut plane = resumed(&folder).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut asked = snapshot(1, "shop-2/0");
    let mut other = asked.services[0].clone();
    (other.service, other.listen) = ("other".into(), taken.local_addr().unwrap().to_string());
    asked.services.insert(0, other);
    plane.answered(Ok(ProxySync { snapshot: asked.clone() })).await;
    let report = plane.report();
    assert!(report.observed.services["shop"].listening.is_some());
    let why = format!("service \"other\" cannot listen on {}", taken.local_addr().unwrap());
    assert!(report.observed.refused["other"].starts_with(&why), "{report:?}");
    assert_eq!(plane.failure, None, "what the guard has to say does not wait for it");
    drop(taken);
    plane.answered(Ok(ProxySync { snapshot: asked })).await;
    assert!(plane.report().observed.refused.is_empty());
    assert!(plane.report().observed.services["other"].listening.is_some());
}

#[tokio::test]
async fn what_an_older_controller_says_is_ignored() {
    let folder = tempfile::tempdir().unwrap();
    keep(&folder, &snapshot(3, "shop-2/1"), &[]);
    let mut plane = resumed(&folder).await;
    plane.answered(Ok(ProxySync { snapshot: snapshot(2, "shop-2/0") })).await;
    assert_eq!(plane.proxy.generation().epoch, 3);
    assert_eq!(plane.keep.snapshot().unwrap().generation.epoch, 3);
    assert!(plane.failure.unwrap().contains("in epoch 2"));
}

#[tokio::test]
async fn a_report_that_was_refused_is_followed_by_one_without_counts() {
    let folder = tempfile::tempdir().unwrap();
    let mut plane = resumed(&folder).await;
    assert!(plane.report().counted.is_some());
    plane.answered(Err(Failure::usage("the body is larger than 7 bytes"))).await;
    assert_eq!(plane.report().counted, None);
    plane.answered(Ok(ProxySync { snapshot: snapshot(1, "shop-2/0") })).await;
    assert_eq!(plane.proxy.generation().epoch, 1, "what to serve has come through");
    for _ in 1..WITHOUT {
        assert_eq!(plane.report().counted, None);
        plane.answered(Ok(ProxySync { snapshot: snapshot(1, "shop-2/0") })).await;
    }
    assert!(plane.report().counted.is_some(), "the counts are offered again");
}

#[tokio::test]
async fn a_gate_shut_while_the_proxy_stopped_is_kept_for_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    keep(&folder, &snapshot(1, "shop-2/0"), &[]);
    let mut plane = resumed(&folder).await;
    let (guard, shut) = broadcast::channel(4);
    plane.shut = shut;
    guard.send(trip("shop-2/0")).unwrap();
    plane.proxy.stop().await;
    plane.keep_last();
    plane.tell_last().await;
    drop(plane);
    let next = resumed(&folder).await;
    assert_eq!(withheld(&next), Some(Withheld::Tripped { guard_key: "shop-2/0".into() }));
    assert_eq!(next.report().trips, [trip("shop-2/0")], "nobody has answered to it");
}

#[tokio::test]
async fn a_canary_loses_its_share_when_no_controller_has_answered_for_long_and_gets_it_again() {
    let stable = healthy().await;
    let folder = tempfile::tempdir().unwrap();
    let mut asked = snapshot(1, "shop-2/0");
    asked.services[0].stable.as_mut().unwrap().upstreams = vec![stable];
    keep(&folder, &asked, &[]);
    let ttl = Some(Duration::from_millis(50));
    let mut plane = resumed(&folder).await.with_lost_controller_ttl(ttl);
    let proxy = plane.proxy.clone();
    let lost = || proxy.observed().services["shop"].withheld == Some(Withheld::LostController);
    let wait = async {
        while !lost() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = plane.run() => {}
        waited = timeout(Duration::from_secs(30), wait) => waited.expect("it is lost"),
    }
    plane.answered(Ok(ProxySync { snapshot: asked })).await;
    assert!(!lost());
}

/// A server that answers every connection with 200.
async fn healthy() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer).await;
        }
    });
    address
}
