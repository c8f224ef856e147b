//! What is written down: the only things that change a rollout.

use serde::{Deserialize, Serialize};

use super::input::{Actor, Command};
use super::state::{Release, RolloutId};
use crate::evidence::{Block, Verdict};
use crate::plan::Plan;
use crate::units::Weight;

/// A fact of a rollout. The log holds these and nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The rollout was asked for. Always the first event, and only the first.
    Created(Box<Created>),
    /// Its turn came; the canary is being brought up beside stable.
    Began {
        /// What serves now; `None` for the service's first release.
        stable: Option<Box<Release>>,
    },
    /// A stage began.
    StageStarted {
        /// Its place in the plan, from 0.
        index: usize,
        /// Why it was allowed to begin.
        advance: Advance,
    },
    /// One window of the stage was counted.
    BlockObserved {
        /// The counts.
        block: Block,
    },
    /// The soak is over and the stage cannot end.
    Held {
        /// What is missing.
        why: String,
    },
    /// The stage has held for the plan's `hold_limit`: a person has to look.
    PersonAsked {
        /// What is missing.
        why: String,
    },
    /// A gate that alerts is broken.
    Alerted {
        /// The gate and what was found.
        found: GateVerdict,
    },
    /// A gate that alerted is no longer broken.
    AlertEnded {
        /// The gate's name.
        gate: String,
    },
    /// Somebody holds the exposure at or under a weight, or lets it go again.
    Limited {
        /// The weight not to be passed; the stage's own weight lifts the limit.
        weight: Weight,
        /// Who.
        by: Actor,
    },
    /// Somebody paused it.
    Paused {
        /// The reason given.
        why: String,
        /// Who.
        by: Actor,
    },
    /// Somebody took it up again.
    Resumed {
        /// Who.
        by: Actor,
    },
    /// Going back has begun: the canary's weight is zero from here on.
    RollbackStarted {
        /// Why.
        cause: Cause,
    },
    /// Going back is complete: stable serves everyone, the canary has stopped.
    RolledBack,
    /// All stages are over; the old version is kept ready.
    BakeStarted {
        /// Why the last stage was allowed to end.
        advance: Advance,
    },
    /// The new release is stable.
    Promoted {
        /// Why.
        advance: Advance,
    },
    /// A newer rollout took its place before it began.
    Superseded {
        /// The newer one.
        by: RolloutId,
    },
    /// It was called off before it began.
    CalledOff {
        /// The reason given.
        why: String,
        /// Who.
        by: Actor,
    },
    /// A command was refused; on record, without any effect.
    Refused {
        /// What was asked.
        command: Command,
        /// Who asked.
        by: Actor,
        /// Why not.
        why: String,
    },
    /// A delivery came to its end.
    DeliverySettled(Settled),
}

/// What a rollout is created with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// Its id, `<service>-<number>`.
    pub id: RolloutId,
    /// What is released.
    pub release: Release,
    /// How.
    pub plan: Plan,
    /// SHA-256 of the plan as written, hex.
    pub plan_hash: String,
    /// Who asked for it.
    pub by: Actor,
    /// The version had been rolled back before, and somebody asks for it all the same.
    pub again: bool,
}

/// Why a stage was allowed to begin, or the rollout to end well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Advance {
    /// The canary is up, and the first stage needs nothing more.
    Deployed,
    /// The service's first release: there is nothing to compare it with.
    FirstRelease,
    /// The soak is over and every gate passed; these are the verdicts.
    Evidence(Vec<GateVerdict>),
    /// Somebody promoted it; these were the verdicts then.
    Command {
        /// The reason given.
        why: String,
        /// Who.
        by: Actor,
        /// What the gates said at that moment.
        verdicts: Vec<GateVerdict>,
    },
}

/// A gate and what the counts allowed us to say of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateVerdict {
    /// The gate's name: the metric, as the plan writes it.
    pub gate: String,
    /// The condition, as the plan writes it.
    pub reads: String,
    /// The answer, its reason and its numbers.
    pub verdict: Verdict,
}

/// Why a rollout goes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A guardrail gate failed.
    Gate(GateVerdict),
    /// The guard shut the gate within the traffic.
    Trip(TripFacts),
    /// Somebody asked for it.
    Command {
        /// The reason given.
        why: String,
        /// Who.
        by: Actor,
    },
    /// The canary could not be brought up.
    DeployFailed(String),
}

/// What the guard saw when it shut the gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TripFacts {
    /// The release that was shut out.
    pub release: String,
    /// The gate whose trip it was.
    pub gate: String,
    /// Requests the canary had answered or failed since the stage began.
    pub requests: u64,
    /// How many of them were bad.
    pub bad: u64,
    /// Natural log of the evidence when it fired.
    pub evidence: f64,
    /// Natural log of the evidence it needed.
    pub evidence_needed: f64,
    /// Microseconds from the third bad request to the gate being shut, where there were three.
    pub shut_after_us: Option<u64>,
}

/// The end of a delivery: done, or given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The delivery's key.
    pub key: String,
    /// `None` when it was done, else why it was given up.
    pub given_up: Option<String>,
}

impl Event {
    /// The event's name, as the log and the API write it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Created(_) => "created",
            Self::Began { .. } => "began",
            Self::StageStarted { .. } => "stage_started",
            Self::BlockObserved { .. } => "block_observed",
            Self::Held { .. } => "held",
            Self::PersonAsked { .. } => "person_asked",
            Self::Alerted { .. } => "alerted",
            Self::AlertEnded { .. } => "alert_ended",
            Self::Limited { .. } => "limited",
            Self::Paused { .. } => "paused",
            Self::Resumed { .. } => "resumed",
            Self::RollbackStarted { .. } => "rollback_started",
            Self::RolledBack => "rolled_back",
            Self::BakeStarted { .. } => "bake_started",
            Self::Promoted { .. } => "promoted",
            Self::Superseded { .. } => "superseded",
            Self::CalledOff { .. } => "called_off",
            Self::Refused { .. } => "refused",
            Self::DeliverySettled(_) => "delivery_settled",
        }
    }
}
