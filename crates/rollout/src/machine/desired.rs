//! What should be so, from the log alone. Compared with what is, over and over.

use serde::Serialize;

use super::state::{End, Release, Rollout, State};
use crate::evidence::trip_rules;
use crate::route::TripRule;
use crate::units::Weight;

/// What a rollout wants of the world.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Desired<'a> {
    /// What must run as stable, if anything did.
    pub stable: Option<&'a Release>,
    /// What must run as canary; `None` means it must be drained and stopped.
    pub canary: Option<&'a Release>,
    /// Who may meet the canary.
    pub weight: Weight,
    /// Of how many of stable's requests it gets a copy.
    pub mirror: Weight,
    /// Names what the guard judges: it begins anew when this changes.
    pub guard_key: String,
    /// What shuts the gate at once.
    pub trips: Vec<TripRule>,
}

/// What `rollout` wants of the world now. A rollout that waits, or is over, wants nothing but
/// that what serves goes on serving.
pub fn desired(rollout: &Rollout) -> Desired<'_> {
    let stable = match &rollout.state {
        State::Ended { end: End::Promoted, .. } => Some(&rollout.release),
        _ => rollout.stable.as_ref(),
    };
    let canary = match &rollout.state {
        State::Deploying { .. } | State::Running(_) | State::Paused { .. } => {
            Some(&rollout.release)
        }
        State::Waiting { .. } | State::RollingBack { .. } | State::Ended { .. } => None,
    };
    let (guard_key, trips) = match rollout.running() {
        Some(running) => {
            (format!("{}/{}", rollout.id, running.stage), trip_rules(&rollout.plan, running.stage))
        }
        None => (format!("{}/-", rollout.id), Vec::new()),
    };
    let (weight, mirror) = (rollout.weight(), rollout.mirror());
    Desired { stable, canary, weight, mirror, guard_key, trips }
}
