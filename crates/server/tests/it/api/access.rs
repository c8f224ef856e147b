//! Who may ask.

use serde_json::json;

use super::client::{Answer, Ask};
use super::world::Controller;

/// A page of ours.
fn own(ask: Ask) -> Ask {
    ask.header("sec-fetch-site", "same-origin")
}

fn login(token: &str, next: &str) -> Ask {
    let form = format!("token={token}&next={next}");
    Ask::post("/login").body("application/x-www-form-urlencoded", form)
}

/// The cookie a login answers with.
fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn nothing_but_health_and_the_login_answers_a_stranger() {
    let mut controller = Controller::without_proxy().await;
    let ask = async |ask: Ask| ask.send(controller.address).await;
    let refused = ask(Ask::get("/api/rollouts")).await;
    assert_eq!(refused.refusal(), (401, "unauthenticated".to_owned()));
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    for hidden in ["/api/openapi.json", "/api/stream", "/api/nothing", "/api/rollouts/x/report"] {
        assert_eq!(ask(Ask::get(hidden)).await.status, 401, "{hidden}");
    }
    assert_eq!(ask(Ask::post("/api/rollouts").json(&json!({}))).await.status, 401);
    let page = ask(Ask::get("/rollouts/shop-1")).await;
    assert_eq!((page.status, page.header("location")), (303, Some("/login?next=/rollouts/shop-1")));
    let health = ask(Ask::get("/healthz")).await;
    assert_eq!((health.status, health.body.as_str()), (200, "ok\n"));
    let login = ask(Ask::get("/login")).await;
    assert_eq!(login.status, 200);
    assert!(login.body.contains("name=\"token\""), "{}", login.body);
    controller.stop().await;
}

#[tokio::test]
async fn a_wrong_token_is_refused() {
    let mut controller = Controller::without_proxy().await;
    let nearly = controller.token[..controller.token.len() - 1].to_owned();
    for wrong in ["", "slc_admin_x", &nearly, &format!("{nearly}00")] {
        let ask = Ask::get("/api/rollouts").header("authorization", &format!("Bearer {wrong}"));
        assert_eq!(ask.send(controller.address).await.status, 401, "{wrong:?}");
    }
    assert_eq!(controller.ask(Ask::get("/api/rollouts")).await.status, 200);
    controller.stop().await;
}

#[tokio::test]
async fn the_token_is_in_a_file_only_its_owner_reads_and_stays_the_same() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut controller = Controller::without_proxy().await;
    let path = controller.folder().path().join("state/token");
    assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), controller.token);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    controller.stop().await;
}

#[tokio::test]
async fn a_browser_trades_the_token_for_a_session_and_ends_it() {
    let mut controller = Controller::without_proxy().await;
    let ask = async |ask: Ask| ask.send(controller.address).await;
    let wrong = ask(own(login("slc_admin_x", "/"))).await;
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, None));
    assert!(wrong.body.contains("This is not the token."), "{}", wrong.body);
    let right = ask(own(login(&controller.token, "/rollouts/shop-1"))).await;
    assert_eq!((right.status, right.header("location")), (303, Some("/rollouts/shop-1")));
    let attributes = right.header("set-cookie").unwrap();
    assert!(attributes.contains("; HttpOnly; SameSite=Strict; "), "{attributes}");
    let cookie = cookie(&right);
    assert!(!cookie.contains(&controller.token));
    let read = Ask::get("/api/rollouts").header("cookie", &cookie);
    assert_eq!(ask(read.clone()).await.status, 200);
    let out = own(Ask::post("/logout")).header("cookie", &cookie).header("x-sluice", "1");
    assert_eq!(ask(out).await.status, 204);
    assert_eq!(ask(read).await.status, 401);
    controller.stop().await;
}

#[tokio::test]
async fn a_session_changes_things_from_our_own_pages_only() {
    let mut controller = Controller::without_proxy().await;
    let ask = async |ask: Ask| ask.send(controller.address).await;
    let cookie = cookie(&ask(own(login(&controller.token, "/"))).await);
    let pause = Ask::post("/api/rollouts/none-1/pause")
        .header("cookie", &cookie)
        .json(&json!({ "why": "" }));
    let refused = (403, "cross-site".to_owned());
    let marked = pause.clone().header("x-sluice", "1");
    let origin = format!("http://{}", controller.address);
    for foreign in [
        pause.clone(),
        marked.clone(),
        own(pause.clone()),
        marked.clone().header("sec-fetch-site", "cross-site"),
        marked.clone().header("sec-fetch-site", "same-site"),
        marked.clone().header("origin", "http://127.0.0.1:1"),
        own(marked.clone()).header("host", "sluice.example"),
    ] {
        assert_eq!(ask(foreign.clone()).await.refusal(), refused, "{foreign:?}");
    }
    // Past the door: there is no such rollout.
    for ours in [own(marked.clone()), marked.header("origin", &origin)] {
        assert_eq!(ask(ours.clone()).await.refusal(), (404, "unknown".to_owned()), "{ours:?}");
    }
    controller.stop().await;
}

#[tokio::test]
async fn a_form_of_another_site_logs_nobody_in_and_a_link_leads_nowhere_else() {
    let mut controller = Controller::without_proxy().await;
    let ask = async |ask: Ask| ask.send(controller.address).await;
    let form = login(&controller.token, "//evil.example/");
    for foreign in [form.clone(), form.clone().header("sec-fetch-site", "cross-site")] {
        let refused = ask(foreign).await;
        assert_eq!(refused.refusal(), (403, "cross-site".to_owned()));
        assert_eq!(refused.header("set-cookie"), None);
    }
    assert_eq!(ask(own(form)).await.header("location"), Some("/"));
    controller.stop().await;
}

#[tokio::test]
async fn every_answer_tells_browsers_what_not_to_do() {
    let mut controller = Controller::without_proxy().await;
    for ask in [Ask::get("/healthz"), Ask::get("/login"), Ask::get("/api/rollouts")] {
        let answer = ask.send(controller.address).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        // Under `no-referrer` the form of the login would be sent with `Origin: null`.
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    controller.stop().await;
}
