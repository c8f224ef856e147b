//! A rollout from being asked for to its end, over the API.

use serde_json::json;
use server::documents::report::Report;
use server::view::RolloutState;
use server::view::{EventView, RolloutView};

use super::client::Ask;
use super::world::Controller;

#[tokio::test]
async fn a_rollout_is_created_told_what_to_do_and_reported() {
    let mut controller = Controller::start().await;
    let id = controller.canary().await;
    let ask = async |verb: &str, why: &str| {
        let path = format!("/api/rollouts/{id}/{verb}");
        controller.ask(Ask::post(&path).json(&json!({ "why": why }))).await
    };
    assert_eq!(ask("resume", "").await.refusal(), (409, "not-paused".to_owned()));
    let paused: RolloutView = ask("pause", "lunch").await.json();
    assert_eq!((paused.state, &*paused.why), (RolloutState::Paused, "admin paused it (lunch)"));
    let resumed: RolloutView = ask("resume", "").await.json();
    assert_eq!(resumed.state, RolloutState::Running);
    let promoted: RolloutView = ask("promote", "seen enough").await.json();
    assert_eq!(promoted.weight.steps(), 100_000);
    let back: RolloutView = ask("rollback", "it is slow").await.json();
    let going_back = [RolloutState::RollingBack, RolloutState::RolledBack];
    assert!(going_back.contains(&back.state), "{}", back.state);
    let end = controller.until(&id, "rolled back").await;
    assert!(end.over);
    assert_eq!(ask("rollback", "again").await.status, 200, "asking twice is asking once");
    assert_eq!(ask("pause", "").await.refusal(), (409, "over".to_owned()));

    let views: Vec<RolloutView> = controller.ask(Ask::get("/api/rollouts")).await.json();
    let states: Vec<(&str, &str)> =
        views.iter().map(|view| (&*view.id, view.state.name())).collect();
    let first = format!("{}-1", controller.service);
    assert_eq!(states, [(&*id, "rolled back"), (&*first, "promoted")], "the newest first");
    history(&controller, &id).await;
    report(&controller, &id).await;
    controller.stop().await;
}

async fn history(controller: &Controller, id: &str) {
    let read = async |query: &str| -> Vec<EventView> {
        controller.ask(Ask::get(&format!("/api/rollouts/{id}/events{query}"))).await.json()
    };
    let all = read("").await;
    let numbers: Vec<u64> = all.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=all.len() as u64).collect::<Vec<_>>());
    assert_eq!(all[0].kind, "created");
    let paused = all.iter().find(|event| event.kind == "paused").unwrap();
    assert!(paused.text.contains("admin paused"), "{}", paused.text);
    assert_eq!(read("?after=2").await, all[2..]);
    assert_eq!(read(&format!("?after={}", all.len())).await, []);
}

async fn report(controller: &Controller, id: &str) {
    let ask = async |query: &str| {
        controller.ask(Ask::get(&format!("/api/rollouts/{id}/report{query}"))).await
    };
    let report: Report = ask("").await.json();
    assert_eq!((&*report.version, report.stable.as_deref()), ("2.0", Some("1.0")));
    assert_eq!((&*report.state, report.over), ("rolled back", true));
    let stages: Vec<&str> = report.stages.iter().map(|stage| &*stage.name).collect();
    assert_eq!(stages, ["canary", "all"]);
    assert_eq!(report.stages[0].canary.requests, 0, "nobody came");
    assert_eq!(report.stages[0].canary.error_rate, None, "and so there is no rate");
    let kinds: Vec<&str> = report.decisions.iter().map(|decision| &*decision.kind).collect();
    assert_eq!(
        kinds.iter().filter(|kind| ["paused", "resumed", "refused"].contains(kind)).count(),
        4,
        "{kinds:?}"
    );
    let text = ask("?format=markdown").await;
    assert_eq!(text.header("content-type"), Some("text/markdown; charset=utf-8"));
    assert!(text.body.starts_with(&format!("# {id}: {} 2.0, rolled back\n", controller.service)));
    assert!(text.body.contains("| Error rate | no requests | no requests |"), "{}", text.body);
}

#[tokio::test]
async fn a_version_that_was_rolled_back_comes_again_only_when_asked_to() {
    let mut controller = Controller::start().await;
    let id = controller.canary().await;
    let path = format!("/api/rollouts/{id}/rollback");
    controller.ask(Ask::post(&path).json(&json!({ "why": "" }))).await;
    controller.until(&id, "rolled back").await;
    let mut wanted = controller.wanted("2.0");
    let refused = controller.ask(Ask::post("/api/rollouts").json(&wanted)).await;
    assert_eq!(refused.status, 409, "{refused:?}");
    wanted["again"] = json!(true);
    let taken = controller.ask(Ask::post("/api/rollouts").json(&wanted)).await;
    assert_eq!(taken.status, 201, "{taken:?}");
    let third = format!("{}-3", controller.service);
    assert_eq!(taken.header("location"), Some(&*format!("/api/rollouts/{third}")));
    controller.until(&third, "running").await;
    controller.stop().await;
}
