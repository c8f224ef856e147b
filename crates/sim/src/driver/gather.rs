//! Windows of traffic become evidence, aligned one after the other.

use rollout::evidence::{Block, Reading, Tally, TrackCounts};
use rollout::machine::{Advance, Event, Input, Rollout, RolloutId, State, verdicts};
use rollout::units::{Millis, Timestamp};

use super::Controller;
use crate::Sabotage;
use crate::env::{Env, Stop};
use crate::faults::Fault;

/// The window being counted for a rollout's stage.
#[derive(Debug)]
pub(super) struct Window {
    /// Names the phase it belongs to; a new phase starts a new window.
    phase: String,
    /// What the log will say it began at.
    from: Timestamp,
    /// The same moment in time that really passed.
    began: Millis,
    canary: TrackCounts,
    stable: TrackCounts,
}

impl Controller {
    /// Closes the windows whose time is over and lets the machine judge them.
    pub(super) fn gather(&mut self, env: &mut Env) -> Result<(), Stop> {
        for id in self.unfinished() {
            if self.is_due(&id, env.now())
                && let Some(block) = self.next_block(env, &id)
            {
                self.feed(env, &id, Input::Evidence(block.clone()))?;
                self.plant(env, &id, block)?;
            }
        }
        Ok(())
    }

    fn next_block(&mut self, env: &mut Env, id: &RolloutId) -> Option<Block> {
        let rollout = self.rollouts.get(id)?;
        let running = rollout.running()?;
        let phase = format!("{}/{:?}/{}", running.stage, running.phase, running.started_at.0);
        let Some(window) = self.windows.get(id).filter(|window| window.phase == phase) else {
            // After a restart the gap since the last window is not evidence of anything.
            let from = env.now().max(running.counted_to);
            self.windows.insert(id.clone(), Window::open(env, rollout, phase, from));
            return None;
        };
        let length = env.world.elapsed.minus(window.began);
        if length < rollout.plan.block() {
            return None;
        }
        let block = close(env, rollout, window, length);
        let next = Window::open(env, rollout, phase, block.to);
        self.windows.insert(id.clone(), next);
        Some(block)
    }

    /// Bugs around evidence, planted on purpose.
    fn plant(&mut self, env: &mut Env, id: &RolloutId, block: Block) -> Result<(), Stop> {
        if env.sabotaged(Sabotage::EvidenceTwice) {
            let to = block.to.plus(block.to.since(block.from));
            self.feed(env, id, Input::Evidence(Block { from: block.to, to, ..block }))?;
        }
        let Some(rollout) = self.rollouts.get(id) else { return Ok(()) };
        let Some(running) = rollout.running() else { return Ok(()) };
        let paused = matches!(rollout.state, State::Paused { .. });
        let skip = match env.sabotage {
            Some(Sabotage::UnearnedAdvance) if !paused => 1,
            Some(Sabotage::SkippedStage) => 2,
            Some(Sabotage::PauseIgnored) if paused => 1,
            _ => return Ok(()),
        };
        let index = running.stage + skip;
        if index < rollout.plan.stages.len() {
            let advance = Advance::Evidence(verdicts(rollout));
            self.record(env, id, &[Event::StageStarted { index, advance }])?;
        }
        Ok(())
    }
}

impl Window {
    fn open(env: &Env, rollout: &Rollout, phase: String, from: Timestamp) -> Self {
        let (canary, stable) = counted(env, rollout);
        Self { phase, from, began: env.world.elapsed, canary, stable }
    }
}

fn counted(env: &Env, rollout: &Rollout) -> (TrackCounts, TrackCounts) {
    let stable = rollout.stable.as_ref().map(|release| env.world.proxy.counts(&release.id));
    (env.world.proxy.counts(&rollout.release.id), stable.unwrap_or_default())
}

fn close(env: &mut Env, rollout: &Rollout, window: &Window, length: Millis) -> Block {
    let (canary, stable) = counted(env, rollout);
    Block {
        from: window.from,
        to: window.from.plus(length),
        canary: read(env, &difference(&canary, &window.canary)),
        stable: read(env, &difference(&stable, &window.stable)),
    }
}

/// A reading through a source that may be silent or speak nonsense.
fn read(env: &mut Env, counts: &TrackCounts) -> Reading {
    if env.strikes(Fault::EvidenceMissing) {
        return Reading::Missing("the source did not answer within 5s".to_owned());
    }
    if env.strikes(Fault::EvidenceNan) {
        return Tally::from_f64(f64::NAN, f64::NAN)
            .map_or_else(Reading::Missing, |_| Reading::Counts(counts.clone()));
    }
    Reading::Counts(counts.clone())
}

fn difference(now: &TrackCounts, before: &TrackCounts) -> TrackCounts {
    let slow = |counts: &TrackCounts| counts.slower_than.first().copied().unwrap_or(0);
    TrackCounts {
        requests: now.requests - before.requests,
        failures: now.failures - before.failures,
        slower_than: vec![slow(now) - slow(before)],
        ..TrackCounts::default()
    }
}
