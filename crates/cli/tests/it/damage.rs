//! A log that is damaged: nothing goes on until an operator has looked, and going back works.

use std::fs;

use crate::ground::{Ground, Running, Said};

/// Ends the controller so that all of the log is in one file, and starts it again after `change`.
fn again(ground: &Ground, controller: Running, change: impl FnOnce()) -> Running {
    assert_eq!(controller.end("-TERM"), Some(0));
    change();
    ground.up(&[])
}

/// Changes one word of a reason that is on record, wherever the file has a copy of it.
fn rewrite_history(ground: &Ground) {
    let path = ground.path("state/sluice.sqlite");
    let mut bytes = fs::read(&path).unwrap();
    let said = b"a look at the logs";
    let copies = (0..bytes.len() - said.len()).filter(|&at| bytes[at..].starts_with(said));
    for at in copies.collect::<Vec<_>>() {
        bytes[at..at + said.len()].copy_from_slice(b"a look at the dogs");
    }
    fs::write(&path, bytes).unwrap();
}

fn assert_frozen(ground: &Ground, why: &str) {
    let refused = ground.sluice(&["promote"]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.err.contains(why), "{refused:?}");
    assert!(refused.err.contains("`sluice audit accept` goes on from what is left"), "{refused:?}");
    assert_eq!(ground.sluice(&["audit", "verify"]).code, Some(1));
}

fn accept(ground: &Ground) -> Said {
    ground.sluice(&["audit", "accept", "--why", "there is no better copy"])
}

/// Makes the event with a reason on record no JSON any more.
fn spoil(ground: &Ground, said: &[u8]) {
    let path = ground.path("state/sluice.sqlite");
    let mut bytes = fs::read(&path).unwrap();
    let copies = (0..bytes.len() - said.len()).filter(|&at| bytes[at..].starts_with(said));
    for at in copies.collect::<Vec<_>>() {
        bytes[at + said.len()] = b'{';
    }
    fs::write(&path, bytes).unwrap();
}

#[test]
fn a_rollout_that_cannot_be_replayed_is_set_aside_and_stable_serves() {
    let ground = Ground::new();
    let controller = ground.up(&[]);
    ground.release_two();
    assert_eq!(ground.sluice(&["pause", "--why", "spoil me"]).code, Some(0));
    let _controller = again(&ground, controller, || spoil(&ground, b"spoil me"));
    let first = ground.rollout("shop-1");
    assert_eq!(first["state"], "promoted", "{first:#}");
    let status = ground.sluice(&["status", "shop-1", "--no-watch"]);
    assert!(status.out.contains("shop-2 is set aside"), "{status:?}");
    crate::ground::eventually("stable serves", || ground.visit() == Some(200));
}

#[test]
fn a_log_without_its_anchor_or_with_a_changed_event_is_frozen_until_it_is_accepted() {
    let ground = Ground::new();
    let controller = ground.up(&[]);
    ground.release_two();
    assert_eq!(ground.sluice(&["pause", "--why", "a look at the logs"]).code, Some(0));
    assert_eq!(ground.sluice(&["resume"]).code, Some(0));

    let anchor = ground.path("state/sluice.sqlite.anchor");
    let controller = again(&ground, controller, || fs::remove_file(&anchor).unwrap());
    assert_frozen(&ground, "its anchor is missing");
    let beside = accept(&ground);
    assert_eq!(beside.code, Some(3), "{beside:?}");
    assert!(beside.err.contains("stop the controller first"), "{beside:?}");
    assert!(!anchor.exists(), "a missing anchor is evidence");
    let controller = again(&ground, controller, || {
        let accepted = accept(&ground);
        assert_eq!(accepted.code, Some(0), "{accepted:?}");
        assert!(
            accepted.out.contains("(there is no better copy), although the log"),
            "{accepted:?}"
        );
        assert_eq!(accept(&ground).out, "the log is whole; there is nothing to accept\n");
    });
    assert_eq!(ground.json(&["audit", "verify", "--output", "json"])["whole"], true);

    let controller = again(&ground, controller, || rewrite_history(&ground));
    assert_frozen(&ground, "the log is broken at position");
    assert_eq!(ground.sluice(&["rollback", "--why", "back works"]).code, Some(0));
    assert_eq!(ground.sluice(&["status", "shop-2", "--wait"]).code, Some(4));
    let _controller = again(&ground, controller, || assert_eq!(accept(&ground).code, Some(0)));
    let found = ground.json(&["audit", "verify", "--output", "json"]);
    assert_eq!(found["whole"], false, "what was changed stays changed");
    assert_eq!(found["accepted"][1]["why"], "there is no better copy");
    let third = ground.sluice(&["start", "sluice.yaml", "--version", "v3"]);
    assert_eq!(third.code, Some(0), "{third:?}");
    crate::ground::eventually("it goes on", || ground.rollout("shop-3")["state"] == "running");
}
