//! `sluice up` and `sluice proxy` as processes.

use std::fs::File;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::Place;

/// Between two looks at a program that is ending.
const PACE: Duration = Duration::from_millis(10);

/// A running `sluice`; killed when dropped.
pub(crate) struct Program {
    child: Child,
}

impl Program {
    /// `sluice up`.
    pub(crate) fn up(place: &Place) -> Self {
        Self::controller(place, &[])
    }

    /// `sluice up --no-proxy`.
    pub(crate) fn up_without_proxy(place: &Place) -> Self {
        Self::controller(place, &["--no-proxy"])
    }

    fn controller(place: &Place, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command.arg("up").arg("--listen").arg(place.api.to_string());
        command.arg("--state").arg(place.state()).args(more);
        Self::start(place, "controller.out", command)
    }

    /// `sluice proxy`.
    pub(crate) fn proxy(place: &Place) -> Self {
        Self::proxy_with(place, &[])
    }

    /// `sluice proxy` with more options.
    pub(crate) fn proxy_with(place: &Place, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command.arg("proxy").arg("--controller").arg(format!("http://{}", place.api));
        command.arg("--token-file").arg(place.state().join("token"));
        command.arg("--state").arg(place.path().join("proxy-state"));
        command.arg("--name").arg("edge").args(more);
        Self::start(place, "proxy.out", command)
    }

    /// What it prints is appended to a file in the place's folder.
    fn start(place: &Place, name: &str, mut command: Command) -> Self {
        let path = place.path().join(name);
        let printed = File::options().create(true).append(true).open(path).unwrap();
        command.stdin(Stdio::null()).stdout(printed.try_clone().unwrap()).stderr(printed);
        command.env_remove("SLUICE_TOKEN").env_remove("SLUICE_URL").env_remove("SLUICE_STATE");
        Self { child: command.spawn().unwrap() }
    }

    /// As `kill -9` does; waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As Ctrl-C does; waits until it has ended by itself.
    pub(crate) async fn interrupt(mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        self.ended().await
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended; waits until it has, by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut left = super::PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(!left.is_zero(), "it does not end");
            tokio::time::sleep(PACE).await;
            left = left.saturating_sub(PACE);
        }
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
