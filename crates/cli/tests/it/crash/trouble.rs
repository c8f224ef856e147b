//! What goes wrong without anybody being killed: it holds, says why, and heals.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use rollout::units::Weight;
use server::view::RolloutState;

use super::kit::{Api, Place, Program, Users, running, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_port_taken_meanwhile_is_said_and_taken_once_it_is_free_and_hinders_no_other_service() {
    let (place, other) = (Place::new(), Place::new());
    let controller = Program::up(&place);
    let api = Api::of(&place).await;
    let stages = "  - { name: half, traffic: 50%, for: 1h }\n  - { name: all, traffic: 100% }\n";
    let id = api.create(&place, &place.plan(stages), "v1").await;
    api.until_state(&id, "promoted").await;
    controller.interrupt().await;
    let thief = TcpListener::bind(place.front).unwrap();
    let _controller = Program::up(&place);
    api.answers().await;
    let says = format!("cannot listen on {}", place.front);
    until("it says that the port is taken", async || {
        let view = api.rollout(&id).await.ok()?;
        view.notices.iter().any(|notice| notice.contains(&says)).then_some(())
    })
    .await;

    let first = api.create(&place, &other.plan(stages), "v1").await;
    api.until_state(&first, "promoted").await;
    let users = Users::come(&other, 100);
    let second = api.create(&place, &other.plan(stages), "v2").await;
    api.until_state(&second, "running").await;
    let since = Instant::now();
    until("its canary is met", async || users.met("v2", since).then_some(())).await;
    api.command(&second, "rollback", "a way back must never be blocked").await.unwrap();
    let since = Instant::now();
    api.until_state(&second, "rolled back").await;
    assert!(!users.met("v2", since), "the canary is still met after the rollback was answered");

    drop(thief);
    let visitors = Users::come(&place, 50);
    let since = Instant::now();
    until("it listens by itself", async || visitors.met("v1", since).then_some(())).await;
    until("the notice is gone", async || {
        let view = api.rollout(&id).await.ok()?;
        (!view.notices.iter().any(|notice| notice.contains(&says))).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_traffic_a_stage_holds_and_says_why() {
    let place = Place::new();
    let _controller = Program::up(&place);
    let api = Api::of(&place).await;
    let plan = place.plan(
        "  - { name: half, traffic: 50%, for: 300ms, gates: { error_rate: below 5% } }\n  - { name: all, traffic: 100% }\n",
    );
    let first = api.create(&place, &plan, "v1").await;
    api.until_state(&first, "promoted").await;
    let id = api.create(&place, &plan, "v2").await;
    until("the stage holds", async || {
        let history = api.history(&id).await;
        history.iter().any(|event| event.kind == "held").then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let view = api.rollout(&id).await.unwrap();
    assert_eq!((view.state, view.weight), (RolloutState::Running, Weight::percent(50)));
    assert!(view.why.contains("requests"), "{}", view.why);
    println!("without traffic: {}", view.why);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_stops_every_version_and_the_next_start_goes_on() {
    let place = Place::new();
    let controller = Program::up(&place);
    let api = Api::of(&place).await;
    let plan =
        place.plan("  - { name: half, traffic: 50%, for: 1h }\n  - { name: all, traffic: 100% }\n");
    let first = api.create(&place, &plan, "v1").await;
    api.until_state(&first, "promoted").await;
    let id = api.create(&place, &plan, "v2").await;
    let before = api.until_state(&id, "running").await;
    assert_eq!(running(&place.service).len(), 2);

    let ended = controller.interrupt().await;
    assert!(running(&place.service).is_empty(), "{:?}", running(&place.service));
    println!("Ctrl-C: {ended}");

    let _controller = Program::up(&place);
    api.answers().await;
    let after = api.rollout(&id).await.unwrap();
    assert_eq!((after.state, after.weight), (before.state, before.weight));
    let users = Users::come(&place, 50);
    let since = Instant::now();
    until("both serve again", async || {
        (users.met("v1", since) && users.met("v2", since)).then_some(())
    })
    .await;
    assert_eq!(running(&place.service).len(), 2);
}
