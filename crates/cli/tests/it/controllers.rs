//! Controllers that start, stop, die, and meet each other.

use crate::ground::{Ground, eventually, is_alive};

#[test]
fn a_second_controller_on_the_same_state_is_refused_and_a_taken_port_is_named() {
    let ground = Ground::new();
    let _controller = ground.up(&[]);
    let second = ground.sluice(&["up", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, Some(3), "{second:?}");
    assert!(second.err.contains("choose another folder with --state"), "{second:?}");

    let taken = format!("127.0.0.1:{}", ground.api);
    let third = ground.sluice(&["up", "--listen", &taken, "--state", "other"]);
    assert_eq!(third.code, Some(1), "{third:?}");
    assert!(third.err.contains(&taken) && third.err.contains("--listen"), "{third:?}");

    let open = ground.sluice(&["up", "--listen", "0.0.0.0:0", "--state", "other"]);
    assert_eq!(open.code, Some(2), "{open:?}");
}

#[test]
fn ctrl_c_lets_the_versions_end_too() {
    let ground = Ground::new();
    let controller = ground.up(&[]);
    ground.release_two();
    let pids = ground.pids("shop-2");
    assert_eq!(pids.len(), 2);
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    assert_eq!(controller.end("-INT"), Some(0));
    eventually("the versions have ended", || !pids.iter().any(|pid| is_alive(*pid)));
    assert_eq!(ground.visit(), None);
}

#[test]
fn a_controller_that_was_killed_goes_on_in_the_same_stage_with_the_same_processes() {
    let ground = Ground::new();
    let controller = ground.up(&[]);
    ground.release_two();
    assert_eq!(ground.sluice(&["promote"]).code, Some(0));
    let (pids, before) = (ground.pids("shop-2"), ground.rollout("shop-2"));
    assert_eq!(controller.end("-KILL"), None);
    assert_eq!(ground.sluice(&["status"]).code, Some(7));
    assert!(pids.iter().all(|pid| is_alive(*pid)), "versions outlive their controller");

    let controller = ground.up(&[]);
    let after = ground.rollout("shop-2");
    for same in ["id", "state", "weight", "created_at", "digest"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    let stage = |rollout: &serde_json::Value| {
        let stages = rollout["stages"].as_array().unwrap().clone();
        stages.iter().find(|stage| stage["status"] == "current").unwrap()["name"].clone()
    };
    assert_eq!(stage(&after), stage(&before));
    assert_eq!(ground.pids("shop-2"), pids);
    eventually("it serves again", || ground.visit() == Some(200));
    assert_eq!(controller.end("-TERM"), Some(0));
}

#[test]
fn a_proxy_of_its_own_serves_while_the_controller_is_away_and_across_its_own_death() {
    let ground = Ground::new();
    let proxy = || {
        let args =
            ["proxy", "--token-file", "state/token", "--proxy-threads", "1", "--name", "edge"];
        ground.start("proxy", &args)
    };
    let first = proxy();
    let controller = ground.up(&["--no-proxy"]);
    ground.release_two();
    eventually("the proxy has been told", || ground.visit() == Some(200));

    assert_eq!(controller.end("-KILL"), None);
    assert_eq!(ground.visit(), Some(200), "the controller is away");
    assert_eq!(first.end("-KILL"), None);
    assert_eq!(ground.visit(), None);
    let second = proxy();
    eventually("what was kept is served", || ground.visit() == Some(200));

    let controller = ground.up(&["--no-proxy"]);
    assert_eq!(ground.sluice(&["rollback"]).code, Some(0));
    eventually("v2 is out, and nobody has met an error on the way", || {
        assert_eq!(ground.visit(), Some(200));
        ground.rollout("shop-2")["state"] == "rolled back"
    });
    assert_eq!(controller.end("-TERM"), Some(0));
    assert_eq!(ground.visit(), Some(200), "the versions go on with their proxy");
    assert_eq!(second.end("-TERM"), Some(0));
}

#[test]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    let ground = Ground::new();
    let mut child = ground
        .command(&["schema"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.len()), (Some(0), 0), "{ended:?}");
}

#[test]
fn a_second_proxy_in_one_state_folder_is_refused_and_told_what_to_do() {
    let ground = Ground::new();
    let _controller = ground.up(&["--no-proxy"]);
    let args = ["proxy", "--token-file", "state/token", "--proxy-threads", "1"];
    let first = ground.start("proxy", &args);
    eventually("the first works in its folder", || ground.path(".sluice-proxy/lock").exists());
    eventually("the second is refused", || {
        let second = ground.sluice(&args);
        assert_eq!(second.code, Some(3), "{second:?}");
        let holder = format!("process {}", first.0.id());
        second.err.contains(&holder) && second.err.contains("--upgrade")
    });
    assert_eq!(first.end("-TERM"), Some(0));
}

#[test]
fn a_proxy_that_nobody_lets_in_ends_when_it_has_nothing_to_serve_and_serves_on_when_it_has() {
    let ground = Ground::new();
    let _controller = ground.up(&["--no-proxy"]);
    std::fs::write(ground.path("wrong"), "slc_wrong").unwrap();
    let wrong = ["proxy", "--token-file", "wrong", "--proxy-threads", "1", "--name", "edge"];
    let refused = ground.sluice(&wrong);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.err.contains("does not know this token"), "{refused:?}");
    assert!(refused.err.contains("nothing to serve"), "{refused:?}");

    let right = ["proxy", "--token-file", "state/token", "--proxy-threads", "1", "--name", "edge"];
    let proxy = ground.start("proxy", &right);
    ground.release_two();
    eventually("it serves", || ground.visit() == Some(200));
    assert_eq!(proxy.end("-TERM"), Some(0));
    let mut proxy = ground.start("proxy", &wrong);
    eventually("it serves what was kept", || ground.visit() == Some(200));
    eventually("it says why it is told nothing new", || {
        let log = std::fs::read_to_string(ground.path("proxy.log")).unwrap();
        log.contains("does not know this token") && log.contains("serving on")
    });
    assert!(proxy.0.try_wait().unwrap().is_none());
}

#[test]
fn an_address_without_a_scheme_is_taken_for_http_and_a_strange_one_is_refused() {
    let ground = Ground::new();
    let _controller = ground.up(&[]);
    let listed = ground.sluice(&["status", "--url", &format!("127.0.0.1:{}", ground.api)]);
    assert_ne!(listed.code, Some(7), "{listed:?}");
    let strange = ground.sluice(&["status", "--url", "ftp://127.0.0.1"]);
    assert_eq!(strange.code, Some(2), "{strange:?}");
    assert!(strange.err.contains("allowed: http://host:port"), "{strange:?}");
}
