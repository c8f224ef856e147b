//! A deployer, what it is asked to run, and what the machine says runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rollout::plan::Deploy;
use rollout::route::HealthCheck;
use rollout::units::{Millis, Timestamp};
use server::deployers::process::ProcessDeployer;
use server::deployers::{State, Wanted};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::roles;

/// A condition that has not come true by then never will.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn open(dir: &Path) -> ProcessDeployer {
    ProcessDeployer::open(dir.to_owned(), || Timestamp(1_000)).unwrap()
}

/// A release that is this test binary in `role`.
pub(crate) fn wanted(release: &str, role: &str) -> Wanted {
    let env = [(roles::ROLE, role), ("ADDRESS", "127.0.0.1:{port}")];
    Wanted {
        release: release.to_owned(),
        version: "1.0".to_owned(),
        deploy: Deploy {
            command: roles::command(),
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            directory: None,
            ready_within: Millis::from_secs(30),
            protocol: rollout::route::Protocol::Http1,
            replicas: 1,
        },
        health: HealthCheck {
            path: "/health".to_owned(),
            every: Millis(20),
            timeout: Millis::from_secs(5),
            healthy_after: 1,
            unhealthy_after: 1,
        },
        drain: Millis::from_secs(20),
        directory: std::env::temp_dir(),
    }
}

/// Waits until the release's state is as asked for, and returns it.
pub(crate) async fn until(
    deployer: &ProcessDeployer,
    release: &str,
    is: impl Fn(&State) -> bool,
) -> State {
    let mut states = deployer.watch();
    let reached = states.wait_for(|states| states.get(release).is_some_and(&is));
    if let Ok(states) = tokio::time::timeout(PATIENCE, reached).await {
        return states.unwrap()[release].clone();
    }
    panic!("{release} did not get there: {:?}", deployer.states().get(release))
}

/// Waits until the release is ready; its address and process.
pub(crate) async fn until_ready(deployer: &ProcessDeployer, release: &str) -> (String, i32) {
    match until(deployer, release, |state| matches!(state, State::Ready { .. })).await {
        State::Ready { address, pid } => (address, pid),
        other => panic!("{other:?}"),
    }
}

/// Waits until the release is failing; why.
pub(crate) async fn until_failing(deployer: &ProcessDeployer, release: &str) -> String {
    match until(deployer, release, |state| matches!(state, State::Failing { .. })).await {
        State::Failing { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

/// Waits until something is true of the machine.
pub(crate) async fn eventually(what: &str, is: impl Fn() -> bool) {
    let wait = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "never came true: {what}");
}

/// Every process of a release that runs, by id, with its token.
pub(crate) fn processes(release: &str) -> BTreeMap<i32, String> {
    let entry = format!("SLUICE_RELEASE={release}");
    let environments = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        Some((pid, std::fs::read(process.path().join("environ")).ok()?))
    });
    let of_release = environments.filter_map(|(pid, environment)| {
        let environment = String::from_utf8_lossy(&environment).into_owned();
        let mut variables = environment.split('\0');
        let token =
            variables.clone().find_map(|variable| variable.strip_prefix("SLUICE_START="))?;
        variables.any(|variable| variable == entry).then(|| (pid, token.to_owned()))
    });
    of_release.collect()
}

/// Whether the process has ended and been reaped.
pub(crate) fn is_reaped(pid: i32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

/// Ends one process at once.
pub(crate) fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// What the service at `address` answers.
pub(crate) async fn get(address: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
