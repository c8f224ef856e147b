//! Keeps one release as it is wanted: one task each.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rollout::units::{Millis, Timestamp};
use tokio::sync::watch;

use super::child::Child;
use super::record::{Identity, Record};
use super::spawn::{self, StartError, Started};
use super::{Host, ended, output, ready, stop};
use crate::deployers::{State, Wanted};

/// The first wait before a process that ended is started again; it doubles each time.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// The longest such wait.
const BACKOFF_LAST: Duration = Duration::from_secs(30);
/// After a process ran this long, the waits start from the first again.
const SETTLED: Millis = Millis::from_secs(60);
/// How often the size of the output is looked at.
const OUTPUT_PACE: Duration = Duration::from_secs(10);
/// Between two tries at what the system refused.
const RETRY_PACE: Duration = Duration::from_secs(1);

/// What keeps one release as it is wanted.
pub(super) struct Supervisor {
    host: Arc<Host>,
    release: String,
    folder: PathBuf,
    goal: watch::Receiver<Option<Wanted>>,
    /// The port it had last; it gets the same again when that is free.
    port: Option<u16>,
    /// How often it was started.
    attempt: u32,
    /// How often it was started again since it last ran for [`SETTLED`].
    restarts: u32,
    /// Once failing, it is shown so until it is ready.
    failing: bool,
}

/// The release's process.
struct Running {
    record: Record,
    identity: Identity,
    child: Child,
    since: Timestamp,
    /// Where its output begins in the release's file, in bytes.
    output_from: u64,
}

impl Supervisor {
    pub(super) fn new(
        host: Arc<Host>,
        release: String,
        goal: watch::Receiver<Option<Wanted>>,
    ) -> Self {
        let folder = host.folder(&release);
        Self { host, release, folder, goal, port: None, attempt: 0, restarts: 0, failing: false }
    }

    /// Runs until the release is not wanted and nothing of it is left. `found` is the record of
    /// an earlier controller.
    pub(super) async fn run(mut self, found: Option<Record>) {
        let mut running = match found {
            Some(record) => self.adopt(record).await,
            None => None,
        };
        loop {
            let wanted = self.goal.borrow_and_update().clone();
            running = match (wanted, running) {
                (Some(wanted), Some(running)) => self.keep(&wanted, running).await,
                (Some(wanted), None) => self.start(&wanted).await,
                (None, Some(running)) => self.stop(running).await,
                (None, None) if self.host.retire(&self.release).await => return,
                (None, None) => None,
            };
        }
    }

    /// Takes up the process of an earlier controller, or clears away what is left of it.
    async fn adopt(&mut self, record: Record) -> Option<Running> {
        let Some(identity) = record.process.clone() else {
            self.forget(record.port);
            return None;
        };
        self.attempt = record.attempt.saturating_add(1);
        let running = self.attach(record, identity, 0).await?;
        tracing::info!(release = self.release, pid = running.identity.pid, "adopted a process");
        Some(running)
    }

    /// Starts the release, or fails and waits.
    async fn start(&mut self, wanted: &Wanted) -> Option<Running> {
        match self.spawn(wanted).await {
            Ok(Started { record, identity, output_from }) => {
                tracing::info!(
                    release = self.release,
                    pid = identity.pid,
                    port = record.port,
                    "started a process"
                );
                if !self.failing {
                    self.host.publish(&self.release, State::Starting { since: self.now() });
                }
                self.attach(record, identity, output_from).await
            }
            Err(error) => {
                self.fail(error.to_string()).await;
                None
            }
        }
    }

    async fn spawn(&mut self, wanted: &Wanted) -> Result<Started, StartError> {
        let port = self.host.ports.take(self.port).map_err(StartError::io("find a free port"))?;
        let (folder, unit) = (self.folder.clone(), self.release.clone());
        let (wanted, attempt) = (wanted.clone(), self.attempt);
        self.attempt = self.attempt.saturating_add(1);
        // Starting syncs files, which blocks.
        let task = tokio::task::spawn_blocking(move || {
            spawn::start(&folder, &unit, &wanted, attempt, port)
        });
        let started = task
            .await
            .unwrap_or_else(|error| Err(StartError::io("start the program")(error.into())));
        if started.is_err() {
            self.host.ports.give(port);
        }
        started
    }

    /// Begins to watch a process; clears away what is left of one that is gone.
    async fn attach(
        &mut self,
        record: Record,
        identity: Identity,
        output_from: u64,
    ) -> Option<Running> {
        let since = self.now();
        loop {
            match Child::attach(&identity) {
                Ok(Some(child)) => {
                    return Some(Running { record, identity, child, since, output_from });
                }
                Ok(None) => {
                    stop::sweep(&identity, &record.token).await;
                    self.forget(record.port);
                    return None;
                }
                Err(error) => {
                    tracing::warn!(release = self.release, pid = identity.pid, %error, "cannot watch a process");
                    tokio::time::sleep(RETRY_PACE).await;
                }
            }
        }
    }

    /// Watches the process until it ends (then it is cleared away) or something else is wanted.
    async fn keep(&mut self, wanted: &Wanted, mut running: Running) -> Option<Running> {
        let mut output_tick = tokio::time::interval(OUTPUT_PACE);
        let mut last_error = "not asked yet".to_owned();
        let mut patience = pin!(tokio::time::sleep(wanted.deploy.ready_within.to_std()));
        running.record.drain = wanted.drain;
        if running.record.ready {
            self.host.publish(&self.release, running.record.observed(self.now()));
        }
        let address = running.record.address();
        // Kept across the other branches: an answer may take longer than their pace.
        let mut asking = pin!(ask(&address, wanted));
        loop {
            tokio::select! {
                biased;
                () = running.child.ended() => {
                    self.ended(running).await;
                    return None;
                }
                _ = self.goal.changed() => return Some(running),
                _ = output_tick.tick() => self.cap_output(),
                () = &mut patience, if !running.record.ready && !patience.is_elapsed() => {
                    self.show_failing(ended::late(wanted, &address, &last_error));
                }
                answer = &mut asking, if !running.record.ready => {
                    match answer {
                        Ok(()) => self.is_ready(&mut running),
                        Err(error) => last_error = error,
                    }
                    asking.set(ask(&address, wanted));
                }
            }
        }
    }

    /// The process answered: remembered, so that the next controller need not ask again before
    /// it sends traffic.
    fn is_ready(&mut self, running: &mut Running) {
        running.record.ready = true;
        self.failing = false;
        if let Err(error) = running.record.write(&self.folder) {
            tracing::warn!(release = self.release, %error, "cannot write that a release is ready");
        }
        self.host.publish(&self.release, running.record.observed(self.now()));
    }

    /// The process ended by itself: clears away what it left and waits to start it again.
    async fn ended(&mut self, running: Running) {
        // Not reaped yet, so its group's id still cannot mean another group.
        stop::sweep(&running.identity, &running.record.token).await;
        let status = running.child.reap();
        let lines = output::tail(&self.folder, running.output_from);
        let lived = self.now().since(running.since);
        let port_taken = !running.record.ready && ended::port_was_taken(&lines);
        self.forget(running.record.port);
        if port_taken {
            self.port = None;
        }
        if running.record.ready && lived >= SETTLED {
            self.restarts = 0;
        }
        self.fail(ended::why(status, lived, &lines)).await;
    }

    /// Shows the failure, and waits before the next start unless something else is wanted.
    async fn fail(&mut self, why: String) {
        self.show_failing(why);
        let wait = backoff(self.restarts);
        self.restarts = self.restarts.saturating_add(1);
        let _either = tokio::time::timeout(wait, self.goal.changed()).await;
    }

    fn show_failing(&mut self, why: String) {
        tracing::warn!(release = self.release, why, "a release is failing");
        self.failing = true;
        self.host.publish(&self.release, State::Failing { why, restarts: self.restarts });
    }

    async fn stop(&mut self, running: Running) -> Option<Running> {
        self.host.publish(&self.release, State::Stopping);
        let Running { record, identity, child, .. } = &running;
        stop::stop(child, identity, &record.token, record.drain).await;
        tracing::info!(release = self.release, pid = identity.pid, "stopped a process");
        self.forget(record.port);
        None
    }

    /// Removes the record of a process of which nothing is left.
    fn forget(&mut self, port: u16) {
        if let Err(error) = Record::remove(&self.folder) {
            tracing::warn!(release = self.release, %error, "cannot remove the record of a process that is gone");
        }
        self.host.ports.give(port);
        self.port = Some(port);
    }

    fn now(&self) -> Timestamp {
        (self.host.clock)()
    }

    fn cap_output(&self) {
        if let Err(error) = output::cap(&self.folder) {
            tracing::warn!(release = self.release, %error, "cannot keep a release's output within its limit");
        }
    }
}

/// Asks the health check after the pause between two questions.
async fn ask(address: &str, wanted: &Wanted) -> Result<(), String> {
    tokio::time::sleep(ready::pace(&wanted.health)).await;
    ready::ask(address, &wanted.health, wanted.deploy.protocol).await
}

/// How long to wait before the next start after `restarts` earlier ones.
fn backoff(restarts: u32) -> Duration {
    let factor = 2_u32.checked_pow(restarts).unwrap_or(u32::MAX);
    BACKOFF_FIRST.saturating_mul(factor).min(BACKOFF_LAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_double_from_one_second_to_thirty() {
        let waits: Vec<u64> =
            [0, 1, 2, 3, 4, 5, 6, 1000].map(|restarts| backoff(restarts).as_secs()).to_vec();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
    }
}
