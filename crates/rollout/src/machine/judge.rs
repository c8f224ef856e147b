//! What the evidence of a stage allows: go on, hold, or go back.

use super::event::{Advance, Cause, Event, GateVerdict};
use super::state::{Phase, Rollout, Running, State};
use crate::evidence::{Answer, gate_specs};
use crate::plan::{Gate, Stage, Then};
use crate::units::Millis;

/// What every gate of the stage under way says now, in the plan's order; nothing when no
/// stage is under way.
pub fn verdicts(rollout: &Rollout) -> Vec<GateVerdict> {
    judged(rollout).into_iter().map(|(_, found)| found).collect()
}

fn judged(rollout: &Rollout) -> Vec<(&Gate, GateVerdict)> {
    let (Some(running), Some(stage)) = (rollout.running(), rollout.stage()) else {
        return Vec::new();
    };
    let specs = gate_specs(&rollout.plan, running.stage);
    stage
        .gates
        .iter()
        .zip(&specs)
        .zip(&running.gates)
        .map(|((gate, spec), state)| {
            let verdict = state.verdict(spec);
            (gate, GateVerdict { gate: gate.name(), reads: gate.reads.clone(), verdict })
        })
        .collect()
}

/// The first guardrail that failed: the reason to go back.
pub(super) fn broken_guardrail(rollout: &Rollout) -> Option<Cause> {
    judged(rollout)
        .into_iter()
        .find(|(gate, found)| gate.then == Then::RollBack && found.verdict.answer == Answer::Fail)
        .map(|(_, found)| Cause::Gate(found))
}

/// The first gate of any kind that failed: what no promotion passes.
pub(super) fn failed_gate(rollout: &Rollout) -> Option<GateVerdict> {
    verdicts(rollout).into_iter().find(|found| found.verdict.answer == Answer::Fail)
}

/// Alerts to open and to end, given which are open.
pub(super) fn alerts(rollout: &Rollout) -> Vec<Event> {
    let Some(running) = rollout.running() else {
        return Vec::new();
    };
    judged(rollout)
        .into_iter()
        .filter(|(gate, _)| gate.then == Then::Alert)
        .filter_map(|(_, found)| {
            let open = running.alerting.contains(&found.gate);
            match (found.verdict.answer == Answer::Fail, open) {
                (true, false) => Some(Event::Alerted { found }),
                (false, true) => Some(Event::AlertEnded { gate: found.gate }),
                (true, true) | (false, false) => None,
            }
        })
        .collect()
}

/// What still keeps the stage from ending, one fragment a reason; empty when it may end.
pub(super) fn missing(rollout: &Rollout) -> Vec<String> {
    let Some(running) = rollout.running() else {
        return Vec::new();
    };
    let mut reasons = Vec::new();
    if let State::Paused { pause, .. } = &rollout.state {
        reasons.push(format!("paused by {}", pause.by));
    }
    if let (Some(limit), Some(stage)) = (running.limit, rollout.stage())
        && limit < stage.weight
    {
        reasons.push(format!("the exposure is held at {limit} instead of {}", stage.weight));
    }
    reasons.extend(lacking_traffic(rollout, running));
    for found in verdicts(rollout) {
        if found.verdict.answer != Answer::Pass {
            reasons.push(format!("{} {}: {}", found.gate, found.reads, found.verdict.reason));
        }
    }
    reasons
}

/// The part of a soak or bake that is not over, and requests that are not there.
fn lacking_traffic(rollout: &Rollout, running: &Running) -> Vec<String> {
    let mut reasons = Vec::new();
    let left = soak(rollout, running).minus(running.observed);
    if left > Millis::ZERO {
        let name = if running.phase == Phase::Bake { "bake" } else { "soak" };
        reasons.push(format!("the {name} has {left} of time with traffic left"));
    }
    let needed = rollout.plan.min_requests;
    if running.requests < needed && running.phase == Phase::Stage {
        let mirrors = rollout.stage().is_some_and(Stage::mirrors);
        let what = if mirrors { "compared copies" } else { "requests" };
        reasons.push(format!("the canary had {} of at least {needed} {what}", running.requests));
    }
    reasons
}

/// How long the phase must last at least, in observed time.
pub(super) fn soak(rollout: &Rollout, running: &Running) -> Millis {
    match running.phase {
        Phase::Bake => rollout.plan.bake,
        Phase::Stage => {
            rollout.plan.stages.get(running.stage).map_or(Millis::ZERO, |stage| stage.soak)
        }
    }
}

/// The event that ends the phase: the next stage, the bake, or the end.
pub(super) fn step(rollout: &Rollout, running: &Running, advance: Advance) -> Event {
    let next = running.stage.saturating_add(1);
    match running.phase {
        Phase::Stage if next < rollout.plan.stages.len() => {
            Event::StageStarted { index: next, advance }
        }
        Phase::Stage if rollout.plan.bake > Millis::ZERO => Event::BakeStarted { advance },
        Phase::Stage | Phase::Bake => Event::Promoted { advance },
    }
}
