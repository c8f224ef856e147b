//! Releases that leave: their processes go on until nobody sends them requests any more.

use std::collections::{BTreeMap, BTreeSet};

use rollout::machine::RolloutId;
use rollout::route::Generation;
use rollout::units::Millis;

use super::clock::Mark;
use super::core::Core;
use super::reconcile::process;
use crate::deployers::replicas::{Replicas, release_of};
use crate::deployers::{State as ProcessState, Wanted};

/// A proxy that has not taken the newest snapshot after so long is not waited for.
const UNHEARD: Millis = Millis::from_secs(60);
/// A request that was split a moment before the snapshot changed is in flight after so long.
const SETTLE: Millis = Millis(100);

/// A release that has left the snapshot and may still be sent requests.
pub(super) struct Leaving {
    wanted: Wanted,
    /// The first snapshot without it.
    generation: Generation,
    since: Mark,
    /// Since when no proxy sends it new requests.
    unused: Option<Mark>,
    /// It has been told to stop, and is not called back for a request that takes longer.
    told: bool,
}

impl Leaving {
    /// The process, while it is to go on.
    pub(super) fn wanted(&self) -> Option<&Wanted> {
        (!self.told).then_some(&self.wanted)
    }
}

impl Core {
    /// A process that is no longer wanted goes on until every proxy serves without it, and then
    /// until no request is under way on it or its drain is over.
    pub(super) fn keep_leaving(&mut self, wanted: &BTreeMap<String, Wanted>) {
        let states = self.deployer.states();
        let up = states.iter().filter(|(_, state)| is_up(state));
        let up: BTreeSet<String> = up.map(|(unit, _)| release_of(unit).to_owned()).collect();
        for release in &up {
            if wanted.contains_key(release) || self.leaving.contains_key(release) {
                continue;
            }
            // A release has the id of the rollout that first carried it.
            if let Some(rollout) = self.rollouts.get(&RolloutId(release.clone())) {
                let leaving = Leaving {
                    wanted: process(&rollout.release, &rollout.plan),
                    generation: self.snapshot.generation,
                    since: self.clock.mark(),
                    unused: None,
                    told: false,
                };
                self.leaving.insert(release.clone(), leaving);
            }
        }
        self.leaving.retain(|release, _| {
            !Replicas::of(&states, release, 1).are_gone() && !wanted.contains_key(release)
        });
        let (proxies, clock) = (&self.proxies, self.clock);
        for (release, leaving) in &mut self.leaving {
            if proxies.all_serve(leaving.generation) || leaving.since.elapsed() > UNHEARD {
                let unused = leaving.unused.get_or_insert_with(|| clock.mark()).elapsed();
                let busy = unused < SETTLE || proxies.in_flight(release) > 0;
                leaving.told |= !busy || unused >= leaving.wanted.drain;
            }
        }
    }
}

/// Whether a process may have requests under way.
const fn is_up(state: &ProcessState) -> bool {
    matches!(state, ProcessState::Ready { .. } | ProcessState::Failing { .. })
}
