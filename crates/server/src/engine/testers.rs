//! Who may ask for a side: digests of the testers' secrets, looked at again and again, so that a
//! secret can be changed, or taken back, without a restart.

use std::collections::{BTreeMap, BTreeSet};

use rollout::plan::Plan;
use rollout::route::Testers;
use rollout::units::Millis;

use super::clock::Mark;
use super::core::Core;
use super::handle::EngineError;
use crate::notifiers::secret::{self, SecretError};

/// How often the secrets are read.
const AGAIN: Millis = Millis::from_secs(2);

/// The digests of secrets, by where they are kept; or why there is none.
#[derive(Debug, Default)]
pub(super) struct Digests {
    known: BTreeMap<String, Result<String, SecretError>>,
    read: Option<Mark>,
}

impl Core {
    /// Reads the secrets that plans in force name: those that are new at once, all of them when
    /// it has been a while.
    pub(super) async fn read_testers(&mut self) {
        let wanted: BTreeSet<String> =
            self.plans().filter_map(|plan| Some(plan.testers.as_ref()?.secret.clone())).collect();
        let due = self.digests.read.is_none_or(|read| read.elapsed() >= AGAIN);
        self.digests.known.retain(|reference, _| wanted.contains(reference));
        for reference in wanted {
            if due || !self.digests.known.contains_key(&reference) {
                let digest = secret::digest(&reference).await;
                self.digests.known.insert(reference, digest);
            }
        }
        if due {
            self.digests.read = Some(self.clock.mark());
            self.note_testers();
            self.note_receivers().await;
        }
    }

    /// Says whose testers are not known.
    fn note_testers(&mut self) {
        let unknown = self.plans().filter_map(|plan| {
            let why = self.digests.known.get(&plan.testers.as_ref()?.secret)?.as_ref().err()?;
            Some(format!("the testers of {} are not known: {why}", plan.service))
        });
        let unknown: Vec<String> = unknown.collect();
        if unknown.is_empty() {
            self.notices.remove("testers");
        } else {
            self.notice("testers", unknown.join("; "));
        }
    }

    /// The plan in force of each service.
    fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.board.services().filter_map(|(_, facts)| {
            let active = facts.active.as_ref().and_then(|id| self.rollouts.get(id));
            let stable = facts.stable.as_ref().map(|(_, plan)| plan);
            active.map(|rollout| &rollout.plan).or(stable)
        })
    }

    /// How a plan's testers are known; without a digest while their secret is not there.
    pub(super) fn testers(&self, plan: &Plan) -> Option<Testers> {
        let testers = plan.testers.as_ref()?;
        let read = self.digests.known.get(&testers.secret);
        let digest = read.and_then(|read| read.as_ref().ok()).cloned();
        Some(Testers { header: testers.header.clone(), digest })
    }
}

/// Refuses a plan whose testers' secret cannot be read here.
pub(super) async fn refuse_unknown_testers(plan: &Plan) -> Result<(), EngineError> {
    let Some(testers) = &plan.testers else { return Ok(()) };
    let read = secret::digest(&testers.secret).await;
    let refused = |why| EngineError::Invalid(format!("the testers would not be known: {why}"));
    read.map(drop).map_err(refused)
}
