//! `sluice proxy` is replaced while it serves. `benches/upgrade/run` is the first of these tests
//! at full load.

mod crowd;

use std::time::{Duration, Instant};

use rollout::machine::Event;
use rustix::process::{Pid, Signal, kill_process};
use server::view::EventView;

use crate::crash::kit::{Api, Place, Program, Users, figure, until};
use crowd::Crowd;

/// Upgrades one after the other, unless `SLUICE_ROUNDS` says otherwise.
const ROUNDS: u32 = 6;
/// Clients of each way to use connections, unless `SLUICE_CLIENTS` says otherwise.
const CLIENTS: u32 = 4;
/// Answers of each way between two upgrades, and after the last.
const CALM: u64 = 100;

/// The process that works in the proxy's state folder, as the folder says.
fn holder(place: &Place) -> Option<i32> {
    let text = std::fs::read_to_string(place.path().join("proxy-state/lock")).ok()?;
    text.trim().parse().ok()
}

/// Waits until another process than `before` works there.
async fn replaced(place: &Place, before: i32) -> i32 {
    until("another process has taken over", async || holder(place).filter(|pid| *pid != before))
        .await
}

fn is_gone(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Windows in which it was not known what the canary did.
fn unknown(history: &[EventView]) -> Vec<String> {
    let windows = history.iter().filter_map(|one| match &one.event {
        Event::BlockObserved { block } => Some(format!("{:?}", block.canary)),
        _ => None,
    });
    windows.filter(|reading| reading.starts_with("Missing")).collect()
}

/// v1 serves everybody, `version` half of them; the controller, the proxy and the rollout.
async fn half(place: &Place, version: &str) -> (Program, Program, Api, String) {
    let controller = Program::up_without_proxy(place);
    let api = Api::of(place).await;
    let proxy = Program::proxy(place);
    let stages = "  - { name: half, traffic: 50%, for: 1h, gates: { error_rate: below 5% } }\n  - { name: all, traffic: 100% }\n";
    let plan = place.plan(stages);
    let first = api.create(place, &plan, "v1").await;
    api.until_state(&first, "promoted").await;
    let id = api.create(place, &plan, version).await;
    api.until_state(&id, "running").await;
    until("half of the users meet it", async || {
        let view = api.rollout(&id).await.ok()?;
        let canary = view.tracks.iter().find(|track| track.track == "canary")?;
        (canary.in_force?.to_string() == "50%").then_some(())
    })
    .await;
    (controller, proxy, api, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_under_load_lose_no_request_and_no_window_of_traffic() {
    let _turn = crate::LOAD.lock().await;
    let (rounds, clients) = (figure("SLUICE_ROUNDS", ROUNDS), figure("SLUICE_CLIENTS", CLIENTS));
    let place = Place::new();
    let (_controller, mut first, api, id) = half(&place, "v2").await;
    let crowd = Crowd::come(place.front, clients);
    crowd.go_on(CALM).await;
    let history = api.history(&id).await;
    let before = (history.len(), unknown(&history).len());

    let (mut pid, mut took) = (i32::try_from(first.pid()).unwrap(), Vec::new());
    let mut started: Vec<Program> = Vec::new();
    for round in 0..rounds {
        let began = Instant::now();
        // Both ways to ask for it: a new process, and a signal to the one that runs.
        if round.is_multiple_of(2) {
            started.push(Program::proxy_with(&place, &["--upgrade"]));
        } else {
            signal(pid, Signal::USR2);
        }
        let next = replaced(&place, pid).await;
        took.push(began.elapsed());
        crowd.go_on(CALM).await;
        pid = next;
    }
    assert!(first.ended().await.success(), "the first process ended by itself");
    let ([kept, fresh, streams], lost) = crowd.leave().await;
    println!(
        "{} requests ({kept} on kept connections, {fresh} on a connection each, {streams} over HTTP/2), \
         {rounds} upgrades, each {:?} to {:?} from the command to the new process in charge: {} lost",
        kept + fresh + streams,
        took.iter().min().unwrap(),
        took.iter().max().unwrap(),
        lost.len(),
    );
    assert!(lost.is_empty(), "{} lost, the first: {:?}", lost.len(), lost.first());
    let history = api.history(&id).await;
    assert!(history.len() > before.0, "windows of traffic were counted meanwhile");
    assert_eq!(unknown(&history).len(), before.1, "{:?}", unknown(&history));
    let view = api.rollout(&id).await.unwrap();
    assert!(view.notices.is_empty(), "{:?}", view.notices);
    signal(pid, Signal::TERM);
    until("the last one has ended", async || is_gone(pid).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_was_shut_stays_shut_though_no_controller_knows() {
    let _turn = crate::LOAD.lock().await;
    let place = Place::new();
    let (controller, mut old, ..) = half(&place, "v3").await;
    controller.kill();
    let users = Users::come(&place, 100);
    let trips = place.path().join("proxy-state/trips.json");
    until("the guard has shut the gate", async || {
        std::fs::read_to_string(&trips)
            .is_ok_and(|text| text.contains("v3") || text.len() > 2)
            .then_some(())
    })
    .await;
    let new = Program::proxy_with(&place, &["--upgrade"]);
    assert!(old.ended().await.success());
    let since = Instant::now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let visits = users.leave();
    let after: Vec<_> = visits.iter().filter(|visit| visit.sent > since).collect();
    assert!(
        after.len() > 20 && after.iter().all(|visit| visit.outcome.as_deref() == Ok("v1")),
        "{after:?}"
    );
    drop(new);
}
