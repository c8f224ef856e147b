//! Two releases of a real service, asked for and steered from the command line.

use crate::ground::{Ground, Said, eventually};

fn code(said: &Said) -> i32 {
    said.code.unwrap_or_else(|| panic!("ended by a signal: {said:?}"))
}

#[test]
fn a_rollout_is_paused_resumed_promoted_and_rolled_back_from_the_command_line() {
    let ground = Ground::new();
    let _controller = ground.up(&[]);
    ground.release_two();
    assert_eq!(ground.visit(), Some(200));

    let paused = ground.sluice(&["pause", "--why", "a look at the logs"]);
    assert_eq!(code(&paused), 0, "{paused:?}");
    assert!(paused.out.starts_with("shop-2 (shop v2) is paused: "), "{paused:?}");
    let status = ground.sluice(&["status"]);
    assert_eq!(code(&status), 5);
    assert!(status.out.contains("(a look at the logs)"), "{status:?}");
    assert_eq!(code(&ground.sluice(&["status", "--wait"])), 5);

    assert_eq!(code(&ground.sluice(&["resume", "shop"])), 0);
    let again = ground.sluice(&["resume", "shop"]);
    assert_eq!(code(&again), 3);
    assert!(again.err.contains("only a paused rollout can be resumed"), "{again:?}");
    assert_eq!(code(&ground.sluice(&["status", "--wait", "--timeout", "1s"])), 6);

    let promoted = ground.json(&["promote", "--output", "json"]);
    assert_eq!(promoted["weight"], 100_000, "{promoted}");
    let back = ground.sluice(&["abort", "--why", "prices are wrong"]);
    assert_eq!(code(&back), 0, "{back:?}");
    assert_eq!(code(&ground.sluice(&["status", "shop-2", "--wait"])), 4);
    assert_eq!(ground.visit(), Some(200));
    assert_eq!(code(&ground.sluice(&["rollback", "shop-2"])), 0, "asking twice is asking once");
    assert_eq!(code(&ground.sluice(&["pause"])), 2, "none is under way");

    let history = ground.sluice(&["history", "shop-2"]);
    assert!(history.out.contains("prices are wrong"), "{history:?}");
    let report = ground.sluice(&["report", "shop-2"]);
    assert!(report.out.starts_with("# shop-2"), "{report:?}");
    assert_eq!(ground.json(&["report", "shop-2", "--format", "json"])["id"], "shop-2");
    assert_eq!(ground.json(&["audit", "verify", "--output", "json"])["whole"], true);
}

#[test]
fn a_version_that_was_rolled_back_is_started_again_only_when_said_so() {
    let ground = Ground::new();
    let _controller = ground.up(&[]);
    ground.release_two();
    assert_eq!(code(&ground.sluice(&["rollback"])), 0);
    assert_eq!(code(&ground.sluice(&["status", "shop-2", "--wait"])), 4);

    let refused = ground.sluice(&["start", "sluice.yaml", "--version", "v2"]);
    assert_eq!(code(&refused), 3, "{refused:?}");
    let again = ground.json(&[
        "start",
        "sluice.yaml",
        "--version",
        "v2",
        "--again",
        "--detach",
        "--output",
        "json",
    ]);
    assert_eq!(again["id"], "shop-3");
}

#[test]
fn what_waits_says_behind_which_and_does_not_begin_once_a_person_took_that_one_back() {
    let ground = Ground::new();
    let _controller = ground.up(&[]);
    ground.release_two();
    let queued = ground.sluice(&["start", "sluice.yaml", "--version", "v3"]);
    assert_eq!((code(&queued), queued.out.as_str()), (0, "shop-3\n"), "{queued:?}");
    assert!(queued.err.contains("it waits for shop-2 (v2) to be over"), "{queued:?}");

    let back = ground.sluice(&["rollback", "shop"]);
    assert!(back.out.contains("sluice resume shop-3"), "{back:?}");
    assert_eq!(code(&ground.sluice(&["status", "shop-2", "--wait"])), 4);
    assert_eq!(code(&ground.sluice(&["status", "shop-3", "--wait"])), 5, "it waits for a person");
    let twice = ground.sluice(&["rollback", "shop"]);
    assert_eq!(code(&twice), 2, "the one that waits is not meant: {twice:?}");
    let refused = ground.sluice(&["start", "sluice.yaml", "--version", "v2"]);
    assert!(refused.err.contains("--again"), "{refused:?}");

    assert_eq!(code(&ground.sluice(&["resume", "shop"])), 0);
    eventually("shop-3 is met", || ground.rollout("shop-3")["state"] == "running");
}

#[test]
fn a_promotion_names_the_stage_it_ended_and_ends_no_other_when_sent_twice() {
    let ground = Ground::new();
    let _controller = ground.up(&[]);
    ground.release_two();
    let promoted = ground.sluice(&["promote", "--stage", "some"]);
    assert_eq!(code(&promoted), 0, "{promoted:?}");
    assert!(promoted.out.starts_with("shop-2: some is ended. shop v2 entered stage all at 100%"));
    let again = ground.sluice(&["promote", "--stage", "some"]);
    assert_eq!(code(&again), 3, "{again:?}");
    assert!(again.err.contains("asked to end some, but all is under way"));
}

#[test]
fn the_canary_is_held_at_a_smaller_share_and_never_at_a_larger_one() {
    let ground = Ground::new();
    let _controller = ground.up(&[]);
    ground.release_two();
    let shown = ground.sluice(&["weights", "shop", "--canary", "12.5%"]);
    assert_eq!((code(&shown), shown.out.as_str()), (0, "stable 87.5%\ncanary 12.5%\n"));
    let refused = ground.sluice(&["weights", "--canary", "50.001%"]);
    assert_eq!(code(&refused), 3, "{refused:?}");
    eventually("what is in force is what was asked for", || {
        ground.json(&["weights", "--output", "json"])["canary"] == 0.125
    });
    assert_eq!(code(&ground.sluice(&["weights", "--canary", "0%"])), 0);
    eventually("zero is a rollback", || ground.sluice(&["status", "shop-2"]).code == Some(4));
}

#[tokio::test]
async fn the_report_knows_the_requests_that_shut_the_gate() {
    let _turn = crate::LOAD.lock().await;
    let ground = Ground::new();
    let _controller = ground.up(&[]);
    assert_eq!(ground.sluice(&["start", "sluice.yaml", "--version", "v1", "--wait"]).code, Some(0));
    let front = format!("127.0.0.1:{}", ground.front);
    let _load = ground.start("load", &["demo-load", "--to", &front, "--rate", "300"]);
    let bad = ground.sluice(&["start", "sluice.yaml", "--version", "v3", "--wait"]);
    assert_eq!(code(&bad), 4, "{bad:?}");
    eventually("v3 is out", || ground.rollout("shop-2")["state"] == "rolled back");
    let report = ground.json(&["report", "shop-2", "--format", "json"]);
    let canary = &report["stages"][0]["canary"];
    assert!(canary["errors"].as_u64().unwrap() >= 8, "{report:#}");
}

#[test]
fn a_wrong_token_is_refused_and_a_missing_one_says_where_it_was_sought() {
    let ground = Ground::new();
    let _controller = ground.up(&[]);
    let wrong = ground.sluice(&["status", "--token", "slc_admin_00000000_wrong"]);
    assert_eq!(code(&wrong), 3);
    assert!(wrong.err.contains("does not know this token"), "{wrong:?}");
    let missing = ground.sluice(&["status", "--state", "elsewhere"]);
    assert_eq!(code(&missing), 3);
    assert!(missing.err.contains("there is none in elsewhere/token"), "{missing:?}");
}
