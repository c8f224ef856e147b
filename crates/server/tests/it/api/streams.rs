//! What changes is told as it does.

use serde_json::json;
use server::view::{RolloutState, RolloutView};

use super::client::{Ask, Event};
use super::world::Controller;

fn view(event: &Event) -> RolloutView {
    assert_eq!(event.name, "rollout");
    let view: RolloutView = serde_json::from_str(&event.data).unwrap();
    assert_eq!(event.id, view.seq.to_string());
    view
}

#[tokio::test]
async fn a_rollout_is_streamed_until_it_is_over() {
    let mut controller = Controller::start().await;
    let id = controller.canary().await;
    let path = format!("/api/rollouts/{id}/stream");
    let mut events = controller.with_token(Ask::get(&path)).stream(controller.address).await;
    let first = view(&events.next().await.unwrap());
    assert_eq!(first.state, RolloutState::Running);
    let again = view(&events.next().await.unwrap());
    assert_eq!(again.seq, first.seq, "once a second without any change");
    controller
        .ask(Ask::post(&format!("/api/rollouts/{id}/pause")).json(&json!({ "why": "" })))
        .await;
    let mut states = vec![again.state];
    let mut last = None;
    while let Some(event) = events.next().await {
        let view = view(&event);
        if states.last() != Some(&view.state) {
            states.push(view.state);
        }
        if view.state == RolloutState::Paused && last.is_none() {
            let back = Ask::post(&format!("/api/rollouts/{id}/rollback"));
            controller.ask(back.json(&json!({ "why": "" }))).await;
        }
        last = Some(view);
    }
    assert_eq!(states.first(), Some(&RolloutState::Running));
    assert!(states.contains(&RolloutState::Paused), "{states:?}");
    let last = last.unwrap();
    assert!(last.over && last.state == RolloutState::RolledBack, "{last:?}");

    let seen = Ask::get(&path).header("last-event-id", &last.seq.to_string());
    assert_eq!(controller.ask(seen).await.status, 204, "a browser stops asking");
    let mut late = controller.with_token(Ask::get(&path)).stream(controller.address).await;
    assert_eq!(view(&late.next().await.unwrap()), last);
    assert_eq!(late.next().await, None, "it is over");
    controller.stop().await;
}

#[tokio::test]
async fn every_change_is_told_and_streams_end_with_the_server() {
    let mut controller = Controller::start().await;
    let ask = controller.with_token(Ask::get("/api/stream"));
    let mut changes = ask.stream(controller.address).await;
    // The stream is open once its head is there; a change before that would be missed.
    changes.opened().await;
    let id = controller.create("1.0").await;
    let told = changes.next().await.unwrap();
    assert_eq!((&*told.name, &*told.data), ("changed", &*id));
    controller.until(&id, "promoted").await;
    let stop = async { while changes.next().await.is_some() {} };
    tokio::join!(stop, controller.stop());
}

#[tokio::test]
async fn a_session_that_ends_ends_its_streams() {
    let mut controller = Controller::without_proxy().await;
    let form = format!("token={}", controller.token);
    let login = Ask::post("/login")
        .header("sec-fetch-site", "same-origin")
        .body("application/x-www-form-urlencoded", form)
        .send(controller.address)
        .await;
    let cookie = login.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let watch = Ask::get("/api/stream").header("cookie", &cookie);
    let mut changes = watch.stream(controller.address).await;
    changes.opened().await;
    let out = Ask::post("/logout").header("cookie", &cookie).header("x-sluice", "1");
    out.header("sec-fetch-site", "same-origin").send(controller.address).await;
    assert_eq!(changes.next().await, None);
    controller.stop().await;
}
