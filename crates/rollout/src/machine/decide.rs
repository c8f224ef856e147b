//! Input becomes events. Total: every pair of state and input has a decision or a refusal.

use super::command::command;
use super::event::{Advance, Cause, Event, TripFacts};
use super::input::{Input, Outcome, Refusal};
use super::judge::{alerts, broken_guardrail, missing, soak, step, verdicts};
use super::state::{Release, Rollout, State};
use crate::evidence::Block;
use crate::units::{Millis, Timestamp};

/// What follows from an input at `now`, to be written down in this order before anything
/// moves. No events: nothing follows.
///
/// # Errors
/// A [`Refusal`] when a command is not allowed in this state.
pub fn decide(rollout: &Rollout, input: Input, now: Timestamp) -> Result<Vec<Event>, Refusal> {
    match input {
        Input::Command(asked, by) => command(rollout, asked, by),
        Input::Turn(stable) => Ok(turn(rollout, stable)),
        Input::Evidence(block) => Ok(evidence(rollout, block, now)),
        Input::Tripped(facts) => Ok(tripped(rollout, facts)),
        Input::Outcome(outcome) => Ok(self::outcome(rollout, outcome)),
        Input::Tick => Ok(tick(rollout, now)),
    }
}

fn turn(rollout: &Rollout, stable: Option<Release>) -> Vec<Event> {
    match rollout.state {
        State::Waiting { paused: None } => vec![Event::Began { stable: stable.map(Box::new) }],
        _ => Vec::new(),
    }
}

/// Takes a window in and judges the stage anew. Windows that overlap what was counted, or
/// run backwards, are dropped: the same requests must not be evidence twice.
fn evidence(rollout: &Rollout, block: Block, now: Timestamp) -> Vec<Event> {
    let counted_to = match &rollout.state {
        State::RollingBack { counted_to, .. } => *counted_to,
        _ => match rollout.running() {
            Some(running) => running.counted_to,
            None => return Vec::new(),
        },
    };
    if block.from < counted_to || block.to <= block.from {
        return Vec::new();
    }
    let observed = Event::BlockObserved { block };
    if rollout.running().is_none() {
        return vec![observed];
    }
    let mut after = rollout.clone();
    after.apply(now, &observed);
    let mut events = vec![observed];
    events.extend(judge(&after));
    events
}

/// What the evidence so far demands. Going back comes first and alone.
fn judge(rollout: &Rollout) -> Vec<Event> {
    if let Some(cause) = broken_guardrail(rollout) {
        return vec![Event::RollbackStarted { cause }];
    }
    let mut events = alerts(rollout);
    let State::Running(running) = &rollout.state else {
        return events;
    };
    let missing = missing(rollout);
    if missing.is_empty() {
        events.push(step(rollout, running, Advance::Evidence(verdicts(rollout))));
        return events;
    }
    events.extend(hold(rollout, &missing));
    events
}

/// Holding is written down once in a stage, when the soak's time is over; a person is asked
/// once, when it has lasted for the plan's `hold_limit`.
fn hold(rollout: &Rollout, missing: &[String]) -> Vec<Event> {
    let State::Running(running) = &rollout.state else {
        return Vec::new();
    };
    let soak = soak(rollout, running);
    if running.elapsed < soak || running.elapsed == Millis::ZERO {
        return Vec::new();
    }
    let why = missing.join("; ");
    let mut events = Vec::new();
    if running.held.is_none() {
        events.push(Event::Held { why: why.clone() });
    }
    if !running.asked && running.elapsed >= soak.plus(rollout.plan.hold_limit) {
        events.push(Event::PersonAsked { why });
    }
    events
}

/// The guard's finding counts when it is about this very release while users can meet it.
fn tripped(rollout: &Rollout, facts: TripFacts) -> Vec<Event> {
    if rollout.running().is_some() && facts.release == rollout.release.id {
        vec![Event::RollbackStarted { cause: Cause::Trip(facts) }]
    } else {
        Vec::new()
    }
}

fn outcome(rollout: &Rollout, outcome: Outcome) -> Vec<Event> {
    match (&rollout.state, outcome) {
        (State::Deploying { .. }, Outcome::Deployed) => vec![deployed(rollout)],
        (State::Deploying { .. }, Outcome::DeployFailed(why)) => {
            vec![Event::RollbackStarted { cause: Cause::DeployFailed(why) }]
        }
        (State::RollingBack { .. }, Outcome::Withdrawn) => vec![Event::RolledBack],
        (_, Outcome::Delivered(settled)) if !rollout.settled.contains(&settled.key) => {
            vec![Event::DeliverySettled(settled)]
        }
        _ => Vec::new(),
    }
}

/// A service's first release has nothing to be compared with: once it is well, it serves.
fn deployed(rollout: &Rollout) -> Event {
    if rollout.stable.is_none() {
        Event::Promoted { advance: Advance::FirstRelease }
    } else {
        Event::StageStarted { index: 0, advance: Advance::Deployed }
    }
}

/// A canary that does not come up must not stall its rollout for ever.
fn tick(rollout: &Rollout, now: Timestamp) -> Vec<Event> {
    let State::Deploying { since } = rollout.state else {
        return Vec::new();
    };
    let allowed = deploy_limit(rollout);
    if now.since(since) < allowed {
        return Vec::new();
    }
    let why = format!("the version was not ready within {allowed}");
    vec![Event::RollbackStarted { cause: Cause::DeployFailed(why) }]
}

/// Twice what the plan allows for one start: the deployer, which knows why a start failed,
/// speaks first.
pub(super) fn deploy_limit(rollout: &Rollout) -> Millis {
    rollout.plan.deploy.ready_within.times(2)
}
