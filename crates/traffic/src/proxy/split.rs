//! Decides which track serves a request.

use std::sync::Arc;

use rollout::bucket::{bucket, meets_canary};
use rollout::units::Weight;

use super::apart::{Apart, Choice};
use super::guard::{Guard, Side};
use super::route::{Canary, ServiceState, Track};

/// Where a request was sent, and who is to be told how it went.
#[derive(Debug)]
pub(crate) struct Seat {
    pub track: Arc<Track>,
    pub side: Side,
    /// The guard that judges, with the user's bucket; `None` while nobody is split, and of who
    /// is counted apart.
    pub witness: Option<(Arc<Guard>, u32)>,
    /// Where it is counted, when that is not with those a gate looks at.
    pub apart: Option<Apart>,
    /// The canary, where it gets a copy of the request.
    pub mirror: Option<Arc<Track>>,
}

/// The track for the user `key`; `None` when no release serves.
///
/// The canary's share goes to stable while the canary is shut out or has no healthy upstream, and
/// while nobody is there who could take it back.
/// Stable's share never goes to the canary. Who is on a side by `choice` is there whatever the
/// key: testers also at weight zero, and all of them only while nothing withholds the canary.
pub(crate) fn choose(state: &ServiceState, key: &str, choice: Option<Choice>) -> Option<Seat> {
    if let Some(choice) = choice {
        return chosen(state, choice);
    }
    let share = state.canary.as_ref().filter(|canary| canary.weight_in_force() > Weight::ZERO);
    let Some(canary) = share else {
        return stable(state, None, None);
    };
    let bucket = bucket(&canary.salt, key);
    let witness = Some((Arc::clone(&canary.guard), bucket));
    if meets_canary(bucket, canary.weight) {
        let track = Arc::clone(&canary.track);
        return Some(Seat { track, side: Side::Canary, witness, apart: None, mirror: None });
    }
    stable(state, witness, None)
}

/// The track of who is on a side by choice. A segment is one only while users are split: without
/// a canary that anybody may meet, its requests are like all others.
fn chosen(state: &ServiceState, choice: Choice) -> Option<Seat> {
    let canary = state.canary.as_ref();
    let split = canary.is_some_and(|canary| canary.weight > Weight::ZERO);
    let (meets, apart) = match choice {
        Choice::Tester(side) => (side == Side::Canary, Some(Apart::Tester)),
        Choice::Always => (split, split.then_some(Apart::Segment)),
        Choice::Never => (false, split.then_some(Apart::Segment)),
    };
    match canary.filter(|canary| meets && canary.is_open()) {
        Some(canary) => {
            let track = Arc::clone(&canary.track);
            Some(Seat { track, side: Side::Canary, witness: None, apart, mirror: None })
        }
        None => stable(state, None, apart),
    }
}

fn stable(
    state: &ServiceState,
    witness: Option<(Arc<Guard>, u32)>,
    apart: Option<Apart>,
) -> Option<Seat> {
    let track = Arc::clone(state.stable.as_ref()?);
    Some(Seat { track, side: Side::Stable, witness, apart, mirror: None })
}

impl Canary {
    /// The weight as asked, or zero while it is withheld.
    pub(crate) fn weight_in_force(&self) -> Weight {
        if self.weight > Weight::ZERO && self.is_open() { self.weight } else { Weight::ZERO }
    }

    /// Whether nothing withholds it from those who are to meet it.
    pub(crate) fn is_open(&self) -> bool {
        !self.guard.is_shut() && !self.lost.is_lost() && self.track.is_healthy()
    }
}
