//! Ends a process and everything it started.

use std::time::Duration;

use rollout::units::Millis;
use rustix::process::Signal;

use super::child::{self, Child};
use super::record::Identity;

/// Between two looks at what is left.
const PACE: Duration = Duration::from_millis(20);

/// Asks the group to end (SIGTERM), waits up to `drain`, then kills what is left (SIGKILL).
/// Returns when nothing is; may be called again for a process that has ended.
pub(super) async fn stop(child: &Child, identity: &Identity, token: &str, drain: Millis) {
    child::signal_group(identity, Signal::TERM);
    let _in_time = tokio::time::timeout(drain.to_std(), all_ended(child, identity, token)).await;
    sweep(identity, token).await;
    child.reap();
}

/// Kills everything left of a process that has ended or has to, and returns when it is gone.
pub(super) async fn sweep(identity: &Identity, token: &str) {
    loop {
        let left = child::left(identity, token);
        if left.is_empty() {
            return;
        }
        child::signal_group(identity, Signal::KILL);
        left.into_iter().for_each(child::kill);
        tokio::time::sleep(PACE).await;
    }
}

async fn all_ended(child: &Child, identity: &Identity, token: &str) {
    child.ended().await;
    while !child::left(identity, token).is_empty() {
        tokio::time::sleep(PACE).await;
    }
}
