//! What comes in: commands, evidence, outcomes, and time passing.

use serde::{Deserialize, Serialize};

use super::event::{Settled, TripFacts};
use super::state::{Release, RolloutId};
use crate::evidence::Block;
use crate::units::Weight;

/// Everything that can make a rollout move. Can be written down: what demands to go back outlives
/// a controller whose log cannot be written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Somebody asks for something.
    Command(Command, Actor),
    /// No other rollout of the service is under way: this one may begin, against what serves
    /// now (`None` for the service's first release).
    Turn(Option<Release>),
    /// What was counted in one window of the current stage.
    Evidence(Block),
    /// The guard shut the gate by itself.
    Tripped(TripFacts),
    /// Something asked for earlier came to an end.
    Outcome(Outcome),
    /// Time has passed.
    Tick,
}

/// What a person or program may ask of a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Stay in this stage until resumed, or do not begin. Guardrails still roll back.
    Pause {
        /// The reason given.
        why: String,
    },
    /// Take up again what was paused.
    Resume,
    /// End this stage now, without its soak and without waiting for evidence; never over a
    /// failed gate.
    Promote {
        /// The stage that is meant, `bake` for the bake: refused when another is under way, so
        /// that asking twice does not end two. `None` means the one under way, whichever.
        #[serde(default)]
        stage: Option<String>,
        /// The reason given.
        why: String,
    },
    /// Go back to stable. Always allowed while there is something to go back from.
    RollBack {
        /// The reason given.
        why: String,
    },
    /// Hold the exposure at or under this weight, whatever the stage says.
    Limit {
        /// The weight not to be passed; never above the stage's own.
        weight: Weight,
    },
    /// A newer rollout takes this one's place in the queue.
    Supersede {
        /// The newer one.
        by: RolloutId,
    },
}

impl Command {
    /// The command's name, as the command line and the log write it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Pause { .. } => "pause",
            Self::Resume => "resume",
            Self::Promote { .. } => "promote",
            Self::RollBack { .. } => "rollback",
            Self::Limit { .. } => "weights",
            Self::Supersede { .. } => "supersede",
        }
    }
}

/// Who asked, and through what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The name the token belongs to.
    pub who: String,
    /// The way in: `cli`, `api`, `dashboard`.
    pub via: String,
}

/// How something asked for earlier came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The canary runs and its health check answers.
    Deployed,
    /// The canary cannot be brought up, and why.
    DeployFailed(String),
    /// After a rollback: no request reaches the canary any more and it has stopped.
    Withdrawn,
    /// A delivery came to its end.
    Delivered(Settled),
}

/// A request that was understood and is not allowed; the user can change something about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// A stable name for programs.
    pub code: &'static str,
    /// One sentence fragment for people: what stands in the way, and what would be allowed.
    pub message: String,
}

impl Refusal {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}
