//! The proxy as a process of its own: the controller's death is no outage.

use std::time::{Duration, Instant};

use super::kit::{Api, Place, Program, Users, running, until};
use server::view::RolloutState;

/// Requests a second.
const RATE: u32 = 200;
/// How long there is no controller.
const ALONE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_the_controller_is_dead_or_when_it_is_back() {
    let _turn = crate::LOAD.lock().await;
    let place = Place::new();
    let controller = Program::up_without_proxy(&place);
    let api = Api::of(&place).await;
    let mut proxy = Program::proxy(&place);
    let plan = place.plan(
        "  - { name: half, traffic: 50%, for: 1h }\n  - { name: most, traffic: 80%, for: 1h }\n  - { name: all, traffic: 100%, for: 1h }\n",
    );
    let first = api.create(&place, &plan, "v1").await;
    api.until_state(&first, "promoted").await;
    reachable(&place).await;

    let users = Users::come(&place, RATE);
    let id = api.create(&place, &plan, "v2").await;
    api.until_state(&id, "running").await;
    met(&users, "v2").await;
    let before = running(&place.service);

    controller.kill();
    tokio::time::sleep(ALONE).await;
    met(&users, "v1").await;
    let controller = Program::up_without_proxy(&place);
    api.answers().await;
    let view = api.rollout(&id).await.unwrap();
    assert_eq!((view.state, view.weight.to_string()), (RolloutState::Running, "50%".to_owned()));
    assert_eq!(running(&place.service), before, "the same processes, each once");

    // The proxy obeys the new controller: another stage, then the end of the rollout.
    api.command(&id, "promote", "the controller is back").await.unwrap();
    in_force(&api, &id, "80%").await;
    api.command(&id, "promote", "and again").await.unwrap();
    in_force(&api, &id, "100%").await;
    api.command(&id, "promote", "to the end").await.unwrap();
    api.until_state(&id, "promoted").await;
    let stable = [view.tracks[1].release.clone()];
    until("the old version has stopped", async || {
        running(&place.service).keys().eq(&stable).then_some(())
    })
    .await;
    met(&users, "v2").await;

    // The same at the worst moment: right after the last step was written down.
    let id = api.create(&place, &plan, "v1").await;
    api.until_state(&id, "running").await;
    met(&users, "v1").await;
    for _ in 0..3 {
        api.command(&id, "promote", "at once").await.unwrap();
    }
    controller.kill();
    let controller = Program::up_without_proxy(&place);
    api.answers().await;
    met(&users, "v1").await;
    until("the old version has stopped", async || {
        (running(&place.service).len() == 1).then_some(())
    })
    .await;

    let visits = users.leave();
    let lost: Vec<_> = visits.iter().filter(|visit| visit.is_lost()).collect();
    println!(
        "{} requests over 2 kills of the controller, {:.1} s without one: {} lost",
        visits.len(),
        ALONE.as_secs_f64(),
        lost.len(),
    );
    assert!(lost.is_empty(), "{} lost, the first: {:?}", lost.len(), lost.first());
    assert!(proxy.runs());
    drop(controller);
}

/// Waits until the proxy answers with a version.
async fn reachable(place: &Place) {
    until("the proxy serves", async || {
        let users = Users::come(place, 20);
        tokio::time::sleep(Duration::from_millis(100)).await;
        users.leave().iter().any(|visit| !visit.is_lost()).then_some(())
    })
    .await;
}

async fn met(users: &Users, build: &str) {
    let since = Instant::now();
    until("a version answers", async || users.met(build, since).then_some(())).await;
}

/// Waits until the proxy says that this weight is in force.
async fn in_force(api: &Api, id: &str, weight: &str) {
    until("the proxy has the weight in force", async || {
        let view = api.rollout(id).await.ok()?;
        let canary = view.tracks.iter().find(|track| track.track == "canary")?;
        (canary.in_force?.to_string() == weight).then_some(())
    })
    .await;
}
