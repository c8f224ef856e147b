//! What is wrong is refused, and said.

use serde_json::{Value, json};
use server::api::ErrorBody;

use super::client::Ask;
use super::world::Controller;

#[tokio::test]
async fn each_wrong_request_is_refused_in_its_own_form() {
    let mut controller = Controller::without_proxy().await;
    let create = |change: fn(&mut Value)| {
        let mut wanted = controller.wanted("1.0");
        change(&mut wanted);
        Ask::post("/api/rollouts").json(&wanted)
    };
    let pause = || Ask::post("/api/rollouts/none-1/pause");
    for (ask, status, code, says) in [
        (Ask::get("/api/nothing"), 404, "unknown", "there is no /api/nothing"),
        (Ask::new("DELETE", "/api/rollouts"), 405, "method", "/api/rollouts does not take DELETE"),
        (Ask::get("/api/rollouts/none-1"), 404, "unknown", "there is no rollout \"none-1\""),
        (Ask::get("/api/rollouts/%ff"), 400, "invalid", "not UTF-8"),
        (Ask::get("/api/rollouts/none-1/events"), 404, "unknown", "none-1"),
        (Ask::get("/api/rollouts/none-1/report"), 404, "unknown", "none-1"),
        (Ask::get("/api/rollouts/none-1/stream"), 404, "unknown", "none-1"),
        (Ask::post("/api/rollouts/none-1/resume"), 404, "unknown", "none-1"),
        (Ask::get("/api/rollouts/none-1/events?after=x"), 400, "invalid", "invalid digit"),
        (Ask::get("/api/rollouts/none-1/events?befor=1"), 400, "invalid", "unknown field `befor`"),
        (
            Ask::get("/api/rollouts/none-1/report?format=pdf"),
            400,
            "invalid",
            "expected `json` or `markdown`",
        ),
        (pause(), 415, "media-type", "must be JSON"),
        (pause().body("text/plain", "{}"), 415, "media-type", "must be JSON"),
        (pause().body("application/json", "{"), 400, "invalid", "EOF"),
        (pause().json(&json!({ "wy": "x" })), 400, "invalid", "unknown field `wy`"),
        (pause().json(&json!({ "why": "\u{1b}[31m" })), 400, "invalid", "control character"),
        (pause().json(&json!({ "why": "x".repeat(501) })), 400, "invalid", "allowed: up to 500"),
        (pause().json(&json!({ "why": "x".repeat(2_000_000) })), 413, "too-large", "1048576 bytes"),
        (create(|w| w["directory"] = json!("here")), 400, "invalid", "allowed: an absolute path"),
        (create(|w| w["version"] = json!("a/b")), 400, "invalid", "read the version \"a/b\""),
        (create(|w| w["plan"] = json!(7)), 400, "invalid", "expected a string"),
        (Ask::get("/api/traffic-weights"), 404, "unknown", "there is no service yet"),
        (Ask::get("/api/traffic-weights?service=x"), 404, "unknown", "there is no service \"x\""),
    ] {
        let answer = controller.ask(ask.clone()).await;
        let ErrorBody { error } = answer.json();
        assert_eq!((answer.status, &*error.code), (status, code), "{answer:?}");
        assert!(error.message.contains(says), "{says}: {answer:?}");
        assert_eq!(error.findings, []);
    }
    controller.stop().await;
}

#[tokio::test]
async fn a_broken_plan_is_answered_with_every_finding_and_its_place() {
    let mut controller = Controller::without_proxy().await;
    let mut wanted = controller.wanted("1.0");
    let plan = controller.plan().replace("drain: 1s", "drian: 1s").replace("for: 1h", "for: 1");
    wanted["plan"] = json!(plan);
    let answer = controller.ask(Ask::post("/api/rollouts").json(&wanted)).await;
    let ErrorBody { error } = answer.json();
    assert_eq!((answer.status, &*error.code), (422, "plan"), "{answer:?}");
    let place = |needle: &str| {
        let line = plan.lines().position(|line| line.contains(needle)).unwrap();
        (line + 1, plan.lines().nth(line).unwrap().find(needle).unwrap() + 1)
    };
    let found: Vec<(usize, usize)> =
        error.findings.iter().map(|finding| (finding.line, finding.column)).collect();
    let (line, column) = place("for: 1,");
    assert_eq!(found, [place("drian"), (line, column + "for: ".len())], "{:#?}", error.findings);
    let [unknown, bare] = error.findings.as_slice() else { unreachable!() };
    assert_eq!(unknown.severity, "error");
    assert_eq!(unknown.help.as_deref(), Some("did you mean `drain`?"));
    assert_eq!(&plan[bare.offset..bare.offset + bare.length], "1");
    let none: Vec<Value> = controller.ask(Ask::get("/api/rollouts")).await.json();
    assert_eq!(none.len(), 0, "nothing was started");
    controller.stop().await;
}
