//! The controller is killed; the next one finds what it left.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rollout::units::Timestamp;
use server::deployers::State;
use server::deployers::process::ProcessDeployer;

use super::world::{self, eventually, processes, until_ready, wanted};
use crate::roles;

/// How often the controller is killed while it starts a release.
const ROUNDS: u32 = 20;

/// Another process that wants `release`.
fn controller(dir: &Path, release: &str) -> Child {
    let [program, words @ ..] = &roles::command()[..] else { unreachable!() };
    let mut command = Command::new(program);
    command
        .args(words)
        .env(roles::ROLE, "controller")
        .env("IT_DIR", dir)
        .env("IT_RELEASE", release);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn end(mut controller: Child) {
    controller.kill().unwrap();
    controller.wait().unwrap();
}

/// Numbers that look random and are the same in every run (xorshift).
fn scatter(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_at_any_moment_of_a_start_leaves_exactly_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let mut seed = 0x5eed_0001;
    for round in 0..ROUNDS {
        let release = format!("crash-{round}");
        let killed = controller(dir.path(), &release);
        // Half the rounds are near the start itself, the others anywhere until it is ready.
        let folder = dir.path().join(&release);
        if round % 2 == 0 {
            eventually("the start began", || folder.exists()).await;
            tokio::time::sleep(Duration::from_micros(scatter(&mut seed) % 10_000)).await;
        } else {
            tokio::time::sleep(Duration::from_millis(scatter(&mut seed) % 150)).await;
        }
        end(killed);

        let deployer = world::open(dir.path());
        deployer.want(vec![wanted(&release, "service")]).await;
        let (address, pid) = until_ready(&deployer, &release).await;
        let running = processes(&release);
        assert_eq!(running.keys().collect::<Vec<_>>(), [&pid], "round {round}: {running:?}");
        assert!(world::get(&address).await.contains(&pid.to_string()));
        deployer.stop_all().await;
        assert!(processes(&release).is_empty(), "round {round}");
        assert!(!folder.join("process.json").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_ready_is_adopted_as_ready_and_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let killed = controller(dir.path(), "adopted-1");
    let record = dir.path().join("adopted-1/process.json");
    let is_ready =
        || std::fs::read_to_string(&record).is_ok_and(|text| text.contains("\"ready\": true"));
    eventually("the release is ready", is_ready).await;
    end(killed);
    let before = processes("adopted-1");

    let deployer = world::open(dir.path());
    let (pid, _) = before.first_key_value().unwrap();
    let State::Ready { address, pid: adopted } = deployer.states()["adopted-1"].clone() else {
        panic!("{:?}", deployer.states())
    };
    assert_eq!(adopted, *pid);
    assert!(world::get(&address).await.contains(&pid.to_string()));
    assert_eq!(processes("adopted-1"), before, "the very same process");

    deployer.want(vec![]).await;
    deployer.stop_all().await;
    assert!(processes("adopted-1").is_empty());
    assert!(!record.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_process_that_ends_is_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let killed = controller(dir.path(), "adopted-2");
    eventually("the release runs", || processes("adopted-2").len() == 1).await;
    end(killed);
    let deployer = world::open(dir.path());
    deployer.want(vec![wanted("adopted-2", "service")]).await;
    let (address, first) = until_ready(&deployer, "adopted-2").await;
    world::kill(first);
    let why = world::until_failing(&deployer, "adopted-2").await;
    assert!(why.starts_with("ended after "), "{why}");
    let (again, second) = until_ready(&deployer, "adopted-2").await;
    assert_ne!(first, second);
    assert_eq!(address, again);
    deployer.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_died_together_with_the_controller_is_started_anew() {
    let dir = tempfile::tempdir().unwrap();
    let killed = controller(dir.path(), "both-1");
    eventually("the release runs", || processes("both-1").len() == 1).await;
    end(killed);
    let (pid, _) = processes("both-1").pop_first().unwrap();
    world::kill(pid);
    eventually("it has ended", || processes("both-1").is_empty()).await;
    let deployer = world::open(dir.path());
    assert!(deployer.states().is_empty());
    deployer.want(vec![wanted("both-1", "service")]).await;
    assert_ne!(until_ready(&deployer, "both-1").await.1, pid);
    deployer.stop_all().await;
}

#[test]
fn two_controllers_never_share_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let _first = world::open(dir.path());
    let second = ProcessDeployer::open(dir.path().to_owned(), || Timestamp(0));
    let error = second.unwrap_err().to_string();
    assert!(error.starts_with("another controller holds ") && error.ends_with("/lock"), "{error}");
}
