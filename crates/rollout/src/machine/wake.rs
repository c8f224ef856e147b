//! When to look at a rollout again though nothing happened.

use super::decide::deploy_limit;
use super::state::{Rollout, State};
use crate::units::{Millis, Timestamp};

/// No rollout is left alone for longer: a clock that jumps must not cost more than this.
const LONGEST_SLEEP: Millis = Millis::from_secs(30);

/// When `rollout` wants to be looked at next; never later than 30 s from `now`. `None` only
/// once it is over: every unfinished rollout has exactly one wake-up. Looking more often is
/// allowed and changes no decision; the simulation looks no more often than this.
pub fn next_wake(rollout: &Rollout, now: Timestamp) -> Option<Timestamp> {
    let latest = now.plus(LONGEST_SLEEP);
    match &rollout.state {
        State::Ended { .. } => None,
        State::Waiting { .. } | State::RollingBack { .. } => Some(latest),
        State::Deploying { since } => Some(since.plus(deploy_limit(rollout)).clamp(now, latest)),
        State::Running(running) | State::Paused { running, .. } => {
            Some(running.counted_to.plus(rollout.plan.block()).clamp(now, latest))
        }
    }
}
