//! Events and states as sentences a person understands.

use super::event::{Advance, Cause, Event};
use super::judge::{missing, soak};
use super::state::{End, Phase, Rollout, Running, State};

/// What happened, in one sentence without a full stop.
pub fn explain(rollout: &Rollout, event: &Event) -> String {
    let subject = format!("{} {}", rollout.plan.service, rollout.release.version);
    match event {
        Event::Created(created) => {
            format!("{} asked for {subject} as {}", created.by.who, created.id)
        }
        Event::Began { stable: Some(stable) } => {
            format!("{subject} is being brought up beside {}", stable.version)
        }
        Event::Began { stable: None } => {
            format!("{subject} is being brought up as the first release")
        }
        Event::StageStarted { index, advance } => explain_stage(rollout, &subject, *index, advance),
        Event::BlockObserved { .. } => "a window of traffic was counted".to_owned(),
        Event::Held { why } => format!("{subject} holds: {why}"),
        Event::PersonAsked { why } => format!("{subject} needs a person to decide: {why}"),
        Event::Alerted { found } => {
            format!(
                "{} {} is broken for {subject}: {}",
                found.gate, found.reads, found.verdict.reason
            )
        }
        Event::AlertEnded { gate } => format!("{gate} is no longer broken for {subject}"),
        Event::Limited { weight, by } => format!("{} set the canary's weight to {weight}", by.who),
        Event::Paused { why, by } => format!("{} paused {subject}{}", by.who, reason(why)),
        Event::Resumed { by } => format!("{} resumed {subject}", by.who),
        Event::RollbackStarted { cause } => {
            format!("{subject} is taken back: {}", explain_cause(cause))
        }
        Event::RolledBack => format!("{subject} is out; {} serves everyone", stable_name(rollout)),
        Event::BakeStarted { advance } => {
            format!("{subject} serves everyone and bakes{}", explain_advance(advance))
        }
        Event::Promoted { advance } => format!("{subject} is stable{}", explain_advance(advance)),
        Event::Superseded { by } => format!("{subject} gave its place to {by} before it began"),
        Event::CalledOff { why, by } => format!("{} called {subject} off{}", by.who, reason(why)),
        Event::Refused { command, by, why } => {
            format!("{} asked for {}, which was refused: {why}", by.who, command.name())
        }
        Event::DeliverySettled(settled) => match &settled.given_up {
            None => format!("message {} was delivered", settled.key),
            Some(why) => format!("message {} was given up: {why}", settled.key),
        },
    }
}

fn explain_stage(rollout: &Rollout, subject: &str, index: usize, advance: &Advance) -> String {
    let (name, weight) =
        rollout.plan.stages.get(index).map_or(("?", String::new()), |s| (&*s.name, s.exposure()));
    format!("{subject} entered stage {name} at {weight}{}", explain_advance(advance))
}

fn explain_advance(advance: &Advance) -> String {
    match advance {
        Advance::Deployed => String::new(),
        Advance::FirstRelease => ": the first release has nothing to be compared with".to_owned(),
        Advance::Evidence(verdicts) if verdicts.is_empty() => ": the soak is over".to_owned(),
        Advance::Evidence(verdicts) => {
            format!(": the soak is over and its gates passed ({} of {0})", verdicts.len())
        }
        Advance::Command { why, by, .. } => format!(": promoted by {}{}", by.who, reason(why)),
    }
}

/// Why a rollout goes back, as a fragment.
pub(super) fn explain_cause(cause: &Cause) -> String {
    match cause {
        Cause::Gate(found) => {
            format!("{} {} failed, {}", found.gate, found.reads, found.verdict.reason)
        }
        Cause::Trip(facts) => format!(
            "the guard shut the gate on {}: {} of {} requests to the canary were bad",
            facts.gate, facts.bad, facts.requests
        ),
        Cause::Command { why, by } => format!("{} asked for it{}", by.who, reason(why)),
        Cause::DeployFailed(why) => format!("it could not be brought up: {why}"),
    }
}

/// Why the rollout stands where it stands, in one sentence without a full stop.
pub fn why(rollout: &Rollout) -> String {
    match &rollout.state {
        State::Waiting { paused: None } => {
            "it waits until the rollout before it is over".to_owned()
        }
        State::Waiting { paused: Some(pause) } => {
            format!("{} keeps it from beginning{}", pause.by, reason(&pause.why))
        }
        State::Deploying { .. } => {
            format!("version {} is starting; nobody meets it yet", rollout.release.version)
        }
        State::Running(running) => why_running(rollout, running),
        State::Paused { pause, .. } => format!("{} paused it{}", pause.by, reason(&pause.why)),
        State::RollingBack { cause, .. } => format!("it is going back: {}", explain_cause(cause)),
        State::Ended { end, .. } => why_ended(rollout, end),
    }
}

fn why_running(rollout: &Rollout, running: &Running) -> String {
    let missing = missing(rollout);
    let name = if running.phase == Phase::Bake { "the bake" } else { "the stage" };
    if missing.is_empty() {
        return format!("everything {name} needs is there");
    }
    let past = running.elapsed >= soak(rollout, running);
    let verb = if past && running.held.is_some() { "holds" } else { "is under way" };
    format!("{name} {verb}: {}", missing.join("; "))
}

fn why_ended(rollout: &Rollout, end: &End) -> String {
    match end {
        End::Promoted => format!("version {} is stable", rollout.release.version),
        End::RolledBack(cause) => {
            format!("{} serves everyone: {}", stable_name(rollout), explain_cause(cause))
        }
        End::Superseded(by) => format!("{by} took its place before it began"),
        End::CalledOff => "it was called off before it began".to_owned(),
    }
}

fn stable_name(rollout: &Rollout) -> &str {
    rollout.stable.as_ref().map_or("nothing", |stable| &stable.version)
}

fn reason(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(" ({why})") }
}
