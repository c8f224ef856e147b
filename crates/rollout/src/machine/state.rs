//! Where a rollout is.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::event::Cause;
use super::record::StageRecord;
use crate::evidence::GateState;
use crate::plan::{Deploy, Plan, Stage};
use crate::units::{Millis, Timestamp, Weight};

/// A rollout's name: `<service>-<number>`, unique and safe in a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RolloutId(pub String);

impl fmt::Display for RolloutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Version and configuration: immutable, numbered. Two releases may differ in configuration
/// only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The release's id: that of the rollout that first carried it.
    pub id: String,
    /// The version's name, as given.
    pub version: String,
    /// SHA-256 over program, arguments and environment, hex: what it really is.
    pub digest: String,
    /// How it is run.
    pub deploy: Deploy,
    /// The folder relative paths start from.
    pub directory: String,
}

/// One run of a plan for one release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// Its id.
    pub id: RolloutId,
    /// How many events it has; the number of the last one.
    pub seq: u64,
    /// The canary: what is being rolled out.
    pub release: Release,
    /// What served when its turn came; `None` before, and for a first release.
    pub stable: Option<Release>,
    /// How it is rolled out.
    pub plan: Plan,
    /// SHA-256 of the plan as written, hex.
    pub plan_hash: String,
    /// Who asked for it.
    pub author: String,
    /// It carries a version that had been rolled back before.
    pub again: bool,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Where it is.
    pub state: State,
    /// The stages so far, the current one last; for the report.
    pub records: Vec<StageRecord>,
    /// Deliveries whose end is on record.
    pub settled: BTreeSet<String>,
}

/// Where a rollout is. What cannot be is not representable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// For its turn.
    Waiting {
        /// Somebody wants it to stay where it is although its turn may come.
        paused: Option<Pause>,
    },
    /// The canary is being brought up; nobody meets it.
    Deploying {
        /// Since when.
        since: Timestamp,
    },
    /// Traffic flows and evidence is gathered.
    Running(Running),
    /// The same, but nothing advances until somebody resumes it.
    Paused {
        /// What was paused.
        running: Running,
        /// Who did, when and why.
        pause: Pause,
    },
    /// Stable serves everyone; the canary drains and stops.
    RollingBack {
        /// Since when.
        since: Timestamp,
        /// The end of the last window counted.
        counted_to: Timestamp,
        /// Why.
        cause: Cause,
    },
    /// It is over.
    Ended {
        /// When.
        at: Timestamp,
        /// How.
        end: End,
    },
}

/// Who said that nothing is to advance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// By whom.
    pub by: String,
    /// The reason given.
    pub why: String,
}

/// How a rollout ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The new release is stable.
    Promoted,
    /// Stable stayed; the version is remembered as rejected.
    RolledBack(Box<Cause>),
    /// A newer rollout took its place before it began.
    Superseded(RolloutId),
    /// Called off before it began.
    CalledOff,
}

/// A stage, or the bake after the last one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// The stage's place in the plan. During the bake: the last one's.
    pub stage: usize,
    /// Whether the stage itself runs, or the bake after it.
    pub phase: Phase,
    /// When the phase began.
    pub started_at: Timestamp,
    /// The end of the last window counted; the phase's start before the first.
    pub counted_to: Timestamp,
    /// Time counted in this phase, with or without traffic.
    pub elapsed: Millis,
    /// Time counted in this phase in which the canary had the stage's traffic: what the soak is
    /// met by.
    pub observed: Millis,
    /// Requests the canary had in this stage, in windows that were not held low. The bake goes on
    /// counting where the stage ended.
    pub requests: u64,
    /// What is remembered of each gate of the stage, in the plan's order.
    pub gates: Vec<GateState>,
    /// A weight somebody said not to pass.
    pub limit: Option<Weight>,
    /// The window under way was held under the stage's weight for a part of it: it says nothing
    /// of the exposure the stage is about, so neither soak nor requests are met by it.
    pub held_low: bool,
    /// Why the stage was last written down as holding.
    pub held: Option<String>,
    /// A person has been asked.
    pub asked: bool,
    /// Gates whose alert is open.
    pub alerting: BTreeSet<String>,
}

/// Which part of its stage a rollout is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The stage itself.
    Stage,
    /// After the last stage: everyone meets the new release, the old one is kept ready.
    Bake,
}

impl Rollout {
    /// The stage or bake under way, paused or not.
    pub const fn running(&self) -> Option<&Running> {
        match &self.state {
            State::Running(running) | State::Paused { running, .. } => Some(running),
            State::Waiting { .. }
            | State::Deploying { .. }
            | State::RollingBack { .. }
            | State::Ended { .. } => None,
        }
    }

    /// The plan's words for the stage under way.
    pub fn stage(&self) -> Option<&Stage> {
        self.running().and_then(|running| self.plan.stages.get(running.stage))
    }

    /// The name of the stage under way; `bake` during the bake.
    pub fn stage_name(&self) -> Option<&str> {
        match self.running()?.phase {
            Phase::Bake => Some("bake"),
            Phase::Stage => self.stage().map(|stage| stage.name.as_str()),
        }
    }

    /// Its turn has not come yet, and it was not called off either.
    pub const fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    /// True once nothing can happen to it any more.
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Ended { .. })
    }

    /// The state's name, as the API and the command line write it.
    pub const fn state_name(&self) -> &'static str {
        match &self.state {
            State::Waiting { paused: None } => "waiting",
            State::Deploying { .. } => "deploying",
            State::Running(Running { phase: Phase::Stage, .. }) => "running",
            State::Running(Running { phase: Phase::Bake, .. }) => "baking",
            State::Waiting { paused: Some(_) } | State::Paused { .. } => "paused",
            State::RollingBack { .. } => "rolling back",
            State::Ended { end, .. } => match end {
                End::Promoted => "promoted",
                End::RolledBack(_) => "rolled back",
                End::Superseded(_) => "superseded",
                End::CalledOff => "called off",
            },
        }
    }

    /// The weight the canary should have now.
    pub fn weight(&self) -> Weight {
        let (Some(running), Some(stage)) = (self.running(), self.stage()) else {
            return Weight::ZERO;
        };
        running.limit.map_or(stage.weight, |limit| limit.min(stage.weight))
    }

    /// Of how many requests the canary should get a copy now.
    pub fn mirror(&self) -> Weight {
        self.running().and(self.stage()).map_or(Weight::ZERO, |stage| stage.mirror)
    }
}
