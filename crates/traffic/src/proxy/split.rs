//! Decides which track serves a request.

use std::sync::Arc;

use rollout::bucket::{bucket, meets_canary};
use rollout::units::Weight;

use super::guard::{Guard, Side};
use super::route::{Canary, ServiceState, Track};

/// Where a request was sent, and who is to be told how it went.
#[derive(Debug)]
pub(crate) struct Seat {
    pub track: Arc<Track>,
    pub side: Side,
    /// The guard that judges, with the user's bucket; `None` while nobody is split.
    pub witness: Option<(Arc<Guard>, u32)>,
}

/// The track for the user `key`; `None` when no release serves.
///
/// The canary's share goes to stable while the canary is shut out or has no healthy upstream, and
/// while nobody is there who could take it back.
/// Stable's share never goes to the canary.
pub(crate) fn choose(state: &ServiceState, key: &str) -> Option<Seat> {
    let share = state.canary.as_ref().filter(|canary| canary.weight_in_force() > Weight::ZERO);
    let Some(canary) = share else {
        return stable(state, None);
    };
    let bucket = bucket(&canary.salt, key);
    let witness = Some((Arc::clone(&canary.guard), bucket));
    if meets_canary(bucket, canary.weight) {
        return Some(Seat { track: Arc::clone(&canary.track), side: Side::Canary, witness });
    }
    stable(state, witness)
}

fn stable(state: &ServiceState, witness: Option<(Arc<Guard>, u32)>) -> Option<Seat> {
    let track = Arc::clone(state.stable.as_ref()?);
    Some(Seat { track, side: Side::Stable, witness })
}

impl Canary {
    /// The weight as asked, or zero while it is withheld.
    pub(crate) fn weight_in_force(&self) -> Weight {
        let withheld = self.guard.is_shut() || self.lost.is_lost() || !self.track.is_healthy();
        let open = self.weight > Weight::ZERO && !withheld;
        if open { self.weight } else { Weight::ZERO }
    }
}
