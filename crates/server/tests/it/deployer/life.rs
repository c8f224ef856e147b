//! The life of a release, in order.

use rollout::units::Millis;
use server::deployers::State;

use super::world::{self, eventually, processes, until, until_failing, until_ready, wanted};

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_started_becomes_ready_and_is_stopped_without_a_trace() {
    let dir = tempfile::tempdir().unwrap();
    let deployer = world::open(dir.path());
    let release = wanted("life-1", "service");
    deployer.want(vec![release.clone()]).await;
    assert_eq!(
        deployer.states()["life-1"],
        State::Starting { since: rollout::units::Timestamp(1_000) }
    );
    let (address, pid) = until_ready(&deployer, "life-1").await;
    assert!(world::get(&address).await.ends_with(&format!("\r\n\r\n{pid} 1.0")));
    assert_eq!(processes("life-1").into_keys().collect::<Vec<_>>(), [pid]);
    let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    assert!(environment.split('\0').any(|variable| variable == format!("ADDRESS={address}")));
    assert!(!environment.contains("CARGO"), "the controller's own variables stay with it");
    let log = std::fs::read_to_string(dir.path().join("life-1/out.log")).unwrap();
    assert!(log.contains("listening on "), "{log}");

    deployer.want(vec![release]).await;
    assert_eq!(
        deployer.states()["life-1"],
        State::Ready { address, pid },
        "asked again, nothing changes"
    );
    deployer.want(vec![]).await;
    until(&deployer, "life-1", |state| *state == State::Stopped).await;
    assert!(world::is_reaped(pid));
    assert!(!dir.path().join("life-1/process.json").exists());
    deployer.want(vec![]).await;
    assert!(deployer.states().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_releases_run_beside_each_other_and_only_what_is_not_wanted_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let deployer = world::open(dir.path());
    let (old, new) = (wanted("pair-1", "service"), wanted("pair-2", "service"));
    deployer.want(vec![old.clone(), new.clone()]).await;
    let (old_address, old_pid) = until_ready(&deployer, "pair-1").await;
    let (new_address, new_pid) = until_ready(&deployer, "pair-2").await;
    assert_ne!(old_address, new_address);
    deployer.want(vec![new]).await;
    until(&deployer, "pair-1", |state| *state == State::Stopped).await;
    assert!(world::is_reaped(old_pid));
    assert_eq!(deployer.states()["pair-2"], State::Ready { address: new_address, pid: new_pid });
    deployer.want(vec![old]).await;
    let (again, pid) = until_ready(&deployer, "pair-1").await;
    assert!(world::get(&again).await.contains(&pid.to_string()), "what was stopped can come back");
    deployer.stop_all().await;
    assert!(world::is_reaped(pid) && world::is_reaped(new_pid));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_does_not_exist_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let deployer = world::open(dir.path());
    let mut release = wanted("absent-1", "service");
    release.deploy.command = vec!["./no-such-program".to_owned()];
    deployer.want(vec![release]).await;
    let why = until_failing(&deployer, "absent-1").await;
    assert!(why.starts_with("program `./no-such-program` was not found; looked for /"), "{why}");
    deployer.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_whose_name_is_no_file_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let deployer = world::open(&dir.path().join("state"));
    deployer.want(vec![wanted("../escaped", "service")]).await;
    let why = until_failing(&deployer, "../escaped").await;
    assert_eq!(why, "release `../escaped` cannot name a folder; it must be a plain file name");
    deployer.stop_all().await;
    assert!(!dir.path().join("escaped").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_exits_at_once_is_quoted_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let deployer = world::open(dir.path());
    deployer.want(vec![wanted("broken-1", "broken")]).await;
    let why = until_failing(&deployer, "broken-1").await;
    assert!(why.starts_with("exited with status 3 after "), "{why}");
    assert!(why.ends_with("the database is not there"), "{why}");
    let again = |state: &State| matches!(state, State::Failing { restarts: 1, .. });
    until(&deployer, "broken-1", again).await;
    deployer.stop_all().await;
    assert!(processes("broken-1").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_port_was_taken_gets_another() {
    let dir = tempfile::tempdir().unwrap();
    let deployer = world::open(dir.path());
    let mut release = wanted("unlucky-1", "unlucky");
    release.deploy.command =
        vec!["sh".to_owned(), "-c".to_owned(), "echo {port} EADDRINUSE".to_owned()];
    deployer.want(vec![release]).await;
    until(&deployer, "unlucky-1", |state| matches!(state, State::Failing { restarts: 1, .. }))
        .await;
    deployer.stop_all().await;
    let log = std::fs::read_to_string(dir.path().join("unlucky-1/out.log")).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_ne!(lines[0], lines[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_never_gets_healthy_says_what_its_check_said() {
    let dir = tempfile::tempdir().unwrap();
    let deployer = world::open(dir.path());
    let mut release = wanted("ill-1", "unhealthy");
    release.deploy.ready_within = Millis::from_secs(3);
    deployer.want(vec![release]).await;
    let why = until_failing(&deployer, "ill-1").await;
    assert!(why.starts_with("did not answer GET /health on 127.0.0.1:"), "{why}");
    assert!(why.ends_with(" within 3s (last error: status 503)"), "{why}");
    assert_eq!(processes("ill-1").len(), 1, "it is not killed for being slow");
    deployer.stop_all().await;
    assert!(processes("ill-1").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_killed_is_started_again_on_the_same_port() {
    let dir = tempfile::tempdir().unwrap();
    let deployer = world::open(dir.path());
    deployer.want(vec![wanted("killed-1", "service")]).await;
    let (address, first) = until_ready(&deployer, "killed-1").await;
    world::kill(first);
    let why = until_failing(&deployer, "killed-1").await;
    assert!(why.starts_with("was killed by signal 9 after "), "{why}");
    let (again, second) = until_ready(&deployer, "killed-1").await;
    assert_ne!(first, second);
    assert_eq!(address, again);
    assert!(world::is_reaped(first));
    assert_eq!(processes("killed-1").into_keys().collect::<Vec<_>>(), [second]);
    deployer.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ignores_being_asked_is_killed_after_the_drain() {
    let dir = tempfile::tempdir().unwrap();
    let deployer = world::open(dir.path());
    let mut release = wanted("stubborn-1", "stubborn");
    release.drain = Millis(300);
    deployer.want(vec![release]).await;
    let (_, pid) = until_ready(&deployer, "stubborn-1").await;
    let mut states = deployer.watch();
    states.borrow_and_update();
    deployer.want(vec![]).await;
    states.changed().await.unwrap();
    assert_eq!(states.borrow()["stubborn-1"], State::Stopping);
    deployer.want(vec![]).await;
    until(&deployer, "stubborn-1", |state| *state == State::Stopped).await;
    assert!(world::is_reaped(pid));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_started_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let deployer = world::open(dir.path());
    let mut release = wanted("parent-1", "service");
    let script = "sleep 600 & exec \"$0\" \"$@\"".to_owned();
    release.deploy.command.splice(0..0, ["sh".to_owned(), "-c".to_owned(), script]);
    deployer.want(vec![release]).await;
    let (_, pid) = until_ready(&deployer, "parent-1").await;
    eventually("the process has a child", || processes("parent-1").len() == 2).await;
    world::kill(pid);
    until_failing(&deployer, "parent-1").await;
    assert!(!processes("parent-1").contains_key(&pid));
    until_ready(&deployer, "parent-1").await;
    eventually("one process and its child", || processes("parent-1").len() == 2).await;
    deployer.stop_all().await;
    assert!(processes("parent-1").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_health_check_that_takes_longer_than_the_look_at_the_output_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let deployer = world::open(dir.path());
    let mut release = wanted("slow-1", "slow");
    release.health.timeout = Millis::from_secs(60);
    release.deploy.ready_within = Millis::from_secs(60);
    deployer.want(vec![release]).await;
    until_ready(&deployer, "slow-1").await;
    deployer.stop_all().await;
}
