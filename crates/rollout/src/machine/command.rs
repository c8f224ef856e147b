//! Commands: what is allowed when, and the sentence that refuses the rest.

use super::event::{Advance, Cause, Event};
use super::input::{Actor, Command, Refusal};
use super::judge::{failed_gate, step, verdicts};
use super::state::{End, Rollout, RolloutId, Running, State};
use crate::units::Weight;

pub(super) fn command(rollout: &Rollout, asked: Command, by: Actor) -> Result<Vec<Event>, Refusal> {
    match asked {
        Command::Pause { why } => pause(rollout, why, by),
        Command::Resume => resume(rollout, by),
        Command::Promote { stage, why } => promote(rollout, stage.as_deref(), why, by),
        Command::RollBack { why } => roll_back(rollout, why, by),
        Command::Limit { weight } => limit(rollout, weight, by),
        Command::Supersede { by } => supersede(rollout, by),
    }
}

fn pause(rollout: &Rollout, why: String, by: Actor) -> Result<Vec<Event>, Refusal> {
    match &rollout.state {
        State::Running(_) | State::Waiting { paused: None } => Ok(vec![Event::Paused { why, by }]),
        State::Paused { .. } | State::Waiting { paused: Some(_) } => Ok(Vec::new()),
        State::Deploying { .. } => Err(refuse(
            rollout,
            "not-running",
            "no stage has begun, so there is nothing to pause; roll it back to stop it",
        )),
        State::RollingBack { .. } => {
            Err(refuse(rollout, "rolling-back", "going back cannot be paused"))
        }
        State::Ended { .. } => Err(over(rollout)),
    }
}

fn resume(rollout: &Rollout, by: Actor) -> Result<Vec<Event>, Refusal> {
    match &rollout.state {
        State::Paused { .. } | State::Waiting { paused: Some(_) } => {
            Ok(vec![Event::Resumed { by }])
        }
        State::Ended { .. } => Err(over(rollout)),
        State::Waiting { paused: None }
        | State::Deploying { .. }
        | State::Running(_)
        | State::RollingBack { .. } => {
            Err(refuse(rollout, "not-paused", "only a paused rollout can be resumed"))
        }
    }
}

fn promote(
    rollout: &Rollout,
    stage: Option<&str>,
    why: String,
    by: Actor,
) -> Result<Vec<Event>, Refusal> {
    match &rollout.state {
        State::Running(running) | State::Paused { running, .. } => {
            refuse_other_stage(rollout, stage)?;
            promote_running(rollout, running, why, by)
        }
        State::Waiting { .. } => {
            Err(refuse(rollout, "not-running", "its turn has not come, and it has no stage to end"))
        }
        State::Deploying { .. } => {
            Err(refuse(rollout, "not-running", "the version is not up yet; no stage has begun"))
        }
        State::RollingBack { .. } => {
            Err(refuse(rollout, "rolling-back", "it is going back; start a new rollout to go on"))
        }
        State::Ended { .. } => Err(over(rollout)),
    }
}

/// A stage that is named must be the one under way.
fn refuse_other_stage(rollout: &Rollout, stage: Option<&str>) -> Result<(), Refusal> {
    let (Some(asked), Some(current)) = (stage, rollout.stage_name()) else {
        return Ok(());
    };
    if asked == current {
        return Ok(());
    }
    let message = format!("asked to end {asked}, but {current} is under way; nothing was ended");
    Err(refuse(rollout, "other-stage", &message))
}

fn promote_running(
    rollout: &Rollout,
    running: &Running,
    why: String,
    by: Actor,
) -> Result<Vec<Event>, Refusal> {
    if let Some(failed) = failed_gate(rollout) {
        let message = format!(
            "{} {} has failed ({}); a promotion skips the soak, never a failed gate",
            failed.gate, failed.reads, failed.verdict.reason
        );
        return Err(refuse(rollout, "gate-failed", &message));
    }
    let advance = Advance::Command { why, by, verdicts: verdicts(rollout) };
    Ok(vec![step(rollout, running, advance)])
}

/// Needs nothing but somebody who asks. Asking twice is the same as asking once.
fn roll_back(rollout: &Rollout, why: String, by: Actor) -> Result<Vec<Event>, Refusal> {
    match &rollout.state {
        State::Waiting { .. } => Ok(vec![Event::CalledOff { why, by }]),
        State::Deploying { .. } | State::Running(_) | State::Paused { .. } => {
            Ok(vec![Event::RollbackStarted { cause: Cause::Command { why, by } }])
        }
        State::Ended { end: End::Promoted, .. } => Err(refuse(
            rollout,
            "over",
            "it is promoted and the old version has stopped; start a rollout of the version to go back to",
        )),
        State::RollingBack { .. } | State::Ended { .. } => Ok(Vec::new()),
    }
}

/// Exposure can be held under the stage's, never above it: going on must be earned. Zero is
/// a rollback by another name.
fn limit(rollout: &Rollout, weight: Weight, by: Actor) -> Result<Vec<Event>, Refusal> {
    if weight == Weight::ZERO {
        return roll_back(rollout, "the canary's weight was set to zero".to_owned(), by);
    }
    let (Some(running), Some(stage)) = (rollout.running(), rollout.stage()) else {
        return Err(refuse(
            rollout,
            "not-running",
            "no stage is under way, so the canary has no weight",
        ));
    };
    if weight > stage.weight {
        let message = format!(
            "read a canary weight of {weight}; allowed: up to {}, the weight of stage {:?} (promote it to go on)",
            stage.weight, stage.name
        );
        return Err(refuse(rollout, "above-stage", &message));
    }
    if running.limit.unwrap_or(stage.weight) == weight {
        return Ok(Vec::new());
    }
    Ok(vec![Event::Limited { weight, by }])
}

fn supersede(rollout: &Rollout, by: RolloutId) -> Result<Vec<Event>, Refusal> {
    match rollout.state {
        State::Waiting { .. } => Ok(vec![Event::Superseded { by }]),
        _ => Err(refuse(rollout, "begun", "only a rollout that still waits can be superseded")),
    }
}

fn over(rollout: &Rollout) -> Refusal {
    refuse(rollout, "over", "nothing more can happen to it")
}

fn refuse(rollout: &Rollout, code: &'static str, message: &str) -> Refusal {
    Refusal::new(code, format!("{} is {}: {message}", rollout.id, rollout.state_name()))
}
