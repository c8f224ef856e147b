//! The report of one rollout: what was released, how it came out and why, the figures of each
//! stage, and every decision.
//!
//! It says what was counted and no more. What was not counted is absent, never zero: a stage
//! without requests has no error rate, and time of which nothing is known is named.

mod limits;
mod stages;

#[cfg(test)]
pub(super) mod examples;

use rollout::machine::{Event, Rollout, State, explain, why};
use rollout::units::Millis;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::time::rfc3339;
use crate::view::EventView;

pub use super::markdown::markdown;
pub use stages::{GateReport, MirrorReport, StageReport, TrackReport};

/// The report of one rollout. Moments are RFC 3339 in UTC, lengths of time milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// The rollout's id.
    pub id: String,
    /// The service.
    pub service: String,
    /// What was released.
    pub version: String,
    /// SHA-256 over its program, arguments and environment, hex.
    pub digest: String,
    /// How many processes of it run at once.
    pub replicas: u32,
    /// What served before; `None` for a first release, and before its turn came.
    pub stable: Option<String>,
    /// SHA-256 of the plan as written, hex.
    pub plan_hash: String,
    /// Who asked for it.
    pub author: String,
    /// It was tried although it had been rolled back before.
    pub again: bool,
    /// Where it stands or how it ended: `running`, `promoted`, `rolled back` ...
    pub state: String,
    /// True once nothing can happen to it any more.
    pub over: bool,
    /// Why, one sentence.
    pub why: String,
    /// When it was asked for.
    pub created_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// From being asked for to its end.
    #[schema(value_type = Option<u64>)]
    pub lasted: Option<Millis>,
    /// The number of the last event the report knows of.
    pub seq: u64,
    /// The stages that began, in order, and the bake where there was one.
    pub stages: Vec<StageReport>,
    /// Stages of the plan that never began, by name.
    pub not_reached: Vec<String>,
    /// Everything that was decided or asked, in order. Windows counted and messages delivered
    /// are not in here.
    pub decisions: Vec<Decision>,
    /// Messages that could not be delivered, and why.
    pub undelivered: Vec<String>,
    /// What the figures mean, and what they do not say.
    pub limits: Vec<String>,
}

/// Something that was decided or asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    /// The event's number.
    pub seq: u64,
    /// When.
    pub at: String,
    /// The event's kind, `stage_started`.
    pub kind: String,
    /// What was decided and why, one sentence.
    pub text: String,
}

/// The report of `rollout`, whose whole history is `history`.
pub fn report(rollout: &Rollout, history: &[EventView]) -> Report {
    let stages = stages::stages(rollout);
    let ended = match &rollout.state {
        State::Ended { at, .. } => Some(*at),
        _ => None,
    };
    let mut report = Report {
        id: rollout.id.to_string(),
        service: rollout.plan.service.clone(),
        version: rollout.release.version.clone(),
        digest: rollout.release.digest.clone(),
        replicas: rollout.release.deploy.replicas,
        stable: rollout.stable.as_ref().map(|stable| stable.version.clone()),
        plan_hash: rollout.plan_hash.clone(),
        author: rollout.author.clone(),
        again: rollout.again,
        state: rollout.state_name().to_owned(),
        over: rollout.is_over(),
        why: why(rollout),
        created_at: rfc3339(rollout.created_at),
        ended_at: ended.map(rfc3339),
        lasted: ended.map(|ended| ended.since(rollout.created_at)),
        seq: rollout.seq,
        not_reached: not_reached(rollout, &stages),
        stages,
        decisions: history.iter().filter(|event| is_decision(&event.event)).map(decision).collect(),
        undelivered: history.iter().filter_map(|event| undelivered(rollout, event)).collect(),
        limits: Vec::new(),
    };
    report.limits = limits::limits(&report);
    report
}

/// Stages of the plan that have not begun. Each is begun once, in the plan's order.
fn not_reached(rollout: &Rollout, begun: &[StageReport]) -> Vec<String> {
    let bake = (rollout.plan.bake > Millis::ZERO).then(|| "bake".to_owned());
    let planned = rollout.plan.stages.iter().map(|stage| stage.name.clone()).chain(bake);
    planned.skip(begun.len()).collect()
}

const fn is_decision(event: &Event) -> bool {
    !matches!(event, Event::BlockObserved { .. } | Event::DeliverySettled(_))
}

fn decision(event: &EventView) -> Decision {
    Decision {
        seq: event.seq,
        at: rfc3339(event.at),
        kind: event.kind.clone(),
        text: event.text.clone(),
    }
}

fn undelivered(rollout: &Rollout, event: &EventView) -> Option<String> {
    match &event.event {
        Event::DeliverySettled(settled) if settled.given_up.is_some() => {
            Some(explain(rollout, &event.event))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_and_messages_are_no_decisions() {
        let (rollout, history) = examples::rolled_back();
        let report = report(&rollout, &history);
        let kinds: Vec<&str> = report.decisions.iter().map(|decision| &*decision.kind).collect();
        assert_eq!(
            kinds,
            [
                "created",
                "began",
                "stage_started",
                "refused",
                "stage_started",
                "rollback_started",
                "rolled_back"
            ]
        );
        assert_eq!(
            report.undelivered,
            ["message shop-2/9/0 was given up: the receiver answered 500"]
        );
    }

    #[test]
    fn a_report_of_a_rollout_that_goes_on_says_so() {
        let (rollout, history) = examples::waiting();
        let report = report(&rollout, &history);
        assert_eq!((report.over, report.ended_at, report.lasted), (false, None, None));
        assert_eq!(report.not_reached, ["canary", "ramp", "rollout", "bake"]);
        assert!(report.limits[0].contains("not over"), "{:?}", report.limits);
    }

    #[test]
    fn a_report_is_the_same_after_a_journey_through_json() {
        let (rollout, history) = examples::rolled_back();
        let report = report(&rollout, &history);
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}
