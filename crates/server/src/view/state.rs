//! Where a rollout stands, in one word.

use std::fmt;

use rollout::machine::{End, Phase, Rollout, Running, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a rollout stands, as the API and the command line write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// Behind another rollout of its service.
    Waiting,
    /// Its processes are being brought up.
    Deploying,
    /// In a stage.
    Running,
    /// Through its stages, and still watched.
    Baking,
    /// Until a person resumes it.
    Paused,
    /// On its way back.
    #[serde(rename = "rolling back")]
    RollingBack,
    /// It serves everybody; over.
    Promoted,
    /// It serves nobody; over.
    #[serde(rename = "rolled back")]
    RolledBack,
    /// A newer one took its place before it began; over.
    Superseded,
    /// Taken back before it began; over.
    #[serde(rename = "called off")]
    CalledOff,
}

impl RolloutState {
    /// Every state, in the order a rollout may come through them.
    pub const ALL: [Self; 10] = [
        Self::Waiting,
        Self::Deploying,
        Self::Running,
        Self::Baking,
        Self::Paused,
        Self::RollingBack,
        Self::Promoted,
        Self::RolledBack,
        Self::Superseded,
        Self::CalledOff,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Deploying => "deploying",
            Self::Running => "running",
            Self::Baking => "baking",
            Self::Paused => "paused",
            Self::RollingBack => "rolling back",
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled back",
            Self::Superseded => "superseded",
            Self::CalledOff => "called off",
        }
    }
}

impl From<&Rollout> for RolloutState {
    fn from(rollout: &Rollout) -> Self {
        match &rollout.state {
            State::Waiting { paused: None } => Self::Waiting,
            State::Deploying { .. } => Self::Deploying,
            State::Running(Running { phase: Phase::Stage, .. }) => Self::Running,
            State::Running(Running { phase: Phase::Bake, .. }) => Self::Baking,
            State::Waiting { paused: Some(_) } | State::Paused { .. } => Self::Paused,
            State::RollingBack { .. } => Self::RollingBack,
            State::Ended { end, .. } => match end {
                End::Promoted => Self::Promoted,
                End::RolledBack(_) => Self::RolledBack,
                End::Superseded(_) => Self::Superseded,
                End::CalledOff => Self::CalledOff,
            },
        }
    }
}

impl fmt::Display for RolloutState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_sent_as_it_is_shown() {
        for state in RolloutState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
    }
}
