//! Windows of traffic: raw counter differences, aligned one after the other.

use rollout::evidence::{Block, Reading};
use rollout::machine::{Input, Rollout, RolloutId, State};
use rollout::units::Timestamp;

use super::clock::Mark;
use super::core::Core;
use super::proxies::Tally;

/// The window being counted for a rollout's stage.
pub(super) struct Window {
    /// Names the stage it belongs to; a new stage starts a new window.
    stage: String,
    /// What the log will say it began at.
    from: Timestamp,
    /// The same moment on the monotonic clock.
    began: Mark,
    /// What had been counted then.
    base: Tally,
}

impl Core {
    /// Closes the windows whose time is over and lets the machine judge them.
    pub(super) async fn gather(&mut self) {
        for id in self.unfinished() {
            if self.going_back.contains_key(&id) {
                continue;
            }
            if let Some((block, next)) = self.next_block(&id)
                && self.feed_logged(&id, Input::Evidence(block)).await
            {
                self.windows.insert(id, next);
            }
        }
        let rollouts = &self.rollouts;
        self.windows.retain(|id, _| rollouts.get(id).is_some_and(is_counted));
    }

    /// What was counted since the last window of a rollout whose canary is out: the requests that
    /// shut the gate, and those under way then. Without it the report would not know them.
    pub(super) async fn gather_last(&mut self, id: &RolloutId) {
        let Some(window) = self.windows.remove(id) else { return };
        let Some(rollout) = self.rollouts.get(id) else { return };
        let block = close(rollout, &window, &self.proxies.tally(), window.began.elapsed());
        if !self.feed_logged(id, Input::Evidence(block)).await {
            self.windows.insert(id.clone(), window);
        }
    }

    /// The window that has just ended for this rollout, if one has, and the one after it. A
    /// window that could not be written down stays open and grows, so that nothing counted in
    /// it is lost.
    fn next_block(&mut self, id: &RolloutId) -> Option<(Block, Window)> {
        let rollout = self.rollouts.get(id)?;
        let running = rollout.running()?;
        let stage = format!("{}/{:?}/{}", running.stage, running.phase, running.started_at.0);
        let Some(window) = self.windows.get(id).filter(|window| window.stage == stage) else {
            // After a restart the gap since the last window is not evidence of anything.
            let from = self.clock.now().max(running.counted_to);
            let began = self.clock.mark();
            let base = self.proxies.tally();
            self.windows.insert(id.clone(), Window { stage, from, began, base });
            return None;
        };
        let length = window.began.elapsed();
        if length < rollout.plan.block() {
            return None;
        }
        let now = self.proxies.tally();
        let block = close(rollout, window, &now, length);
        let next = Window { stage, from: block.to, began: self.clock.mark(), base: now };
        Some((block, next))
    }
}

/// Whether what its canary does is still of interest.
const fn is_counted(rollout: &Rollout) -> bool {
    rollout.running().is_some() || matches!(rollout.state, State::RollingBack { .. })
}

fn close(rollout: &Rollout, window: &Window, now: &Tally, length: rollout::units::Millis) -> Block {
    let service = &rollout.plan.service;
    let unknown = now.unknown_since(&window.base);
    let reading = |release: Option<&str>| match (&unknown, release) {
        (Some(why), _) => Reading::Missing(why.clone()),
        (None, Some(release)) => Reading::Counts(now.since(&window.base, service, release)),
        (None, None) => Reading::Missing("there is no stable release".to_owned()),
    };
    Block {
        from: window.from,
        to: window.from.plus(length),
        canary: reading(Some(&rollout.release.id)),
        stable: reading(rollout.stable.as_ref().map(|stable| &*stable.id)),
    }
}
