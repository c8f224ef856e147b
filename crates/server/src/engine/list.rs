//! Every rollout at once, for people who look for one.

use std::sync::Arc;

use rollout::machine::Rollout;

use super::core::Core;
use crate::view::RolloutView;

impl Core {
    /// Every rollout. Those that are over are kept as they were last seen, because nothing but
    /// a late message changes them: the loop must not be busy with the past each time somebody
    /// looks.
    pub(super) fn list(&mut self) -> Vec<Arc<RolloutView>> {
        let views = self.rollouts.values().map(|rollout| self.listed(rollout));
        let views: Vec<Arc<RolloutView>> = views.collect();
        for (rollout, view) in self.rollouts.values().zip(&views) {
            let kept = self.over.get(&rollout.id).is_some_and(|kept| Arc::ptr_eq(kept, view));
            if view.over && !kept {
                self.over.insert(rollout.id.clone(), view.clone());
            }
        }
        views
    }

    fn listed(&self, rollout: &Rollout) -> Arc<RolloutView> {
        match self.over.get(&rollout.id).filter(|view| view.seq == rollout.seq) {
            Some(view) => view.clone(),
            None if rollout.is_over() => Arc::new(RolloutView {
                // What is observed now is no part of what is over.
                tracks: Vec::new(),
                notices: Vec::new(),
                ..self.show(rollout)
            }),
            None => Arc::new(self.show(rollout)),
        }
    }
}
