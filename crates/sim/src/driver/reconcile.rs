//! What should be so is compared with what is, over and over.

use std::collections::BTreeSet;

use rollout::machine::{Command, Input, Outcome, Rollout, RolloutId, State, desired};
use rollout::route::{CanaryRoute, Generation, TrackRoute};
use rollout::units::Weight;

use super::Controller;
use crate::Sabotage;
use crate::env::{Env, Stop};
use crate::proxy::Push;
use crate::world::Process;

impl Controller {
    /// Brings the proxy, then the processes, to what the log says.
    pub(super) fn reconcile(&mut self, env: &mut Env) -> Result<(), Stop> {
        self.route(env)?;
        let wanted = self.wanted();
        if !wanted.iter().eq(env.world.processes.keys()) {
            env.crash_point("between the proxy and the processes")?;
        }
        let Env { world, faults, .. } = env;
        world.want(&wanted, faults);
        Ok(())
    }

    /// Pushes what differs from what was last sent, and sends it again while the proxy does
    /// not hold it.
    fn route(&mut self, env: &mut Env) -> Result<(), Stop> {
        let wanted = self.wanted_route(env);
        let same = |push: &Push| push.stable == wanted.stable && push.canary == wanted.canary;
        let holds =
            |held: &Push| self.sent.as_ref().is_some_and(|it| it.generation == held.generation);
        if self.sent.as_ref().is_some_and(same) && env.world.proxy.held().is_some_and(holds) {
            return Ok(());
        }
        env.crash_point("before a push")?;
        self.pushes += 1;
        let generation = Generation { epoch: self.lease.epoch(), seq: self.pushes };
        let push = Push { generation, ..wanted };
        self.sent = Some(push.clone());
        let Env { world, faults, .. } = env;
        world.push(push, faults);
        env.crash_point("after a push")
    }

    fn active(&self) -> Option<&Rollout> {
        let mut facts = self.board.services().map(|(_, facts)| facts);
        facts.find_map(|facts| facts.active.as_ref()).and_then(|id| self.rollouts.get(id))
    }

    /// What serves when nothing is under way.
    fn serving(&self) -> Option<String> {
        let mut facts = self.board.services().map(|(_, facts)| facts);
        facts.find_map(|facts| facts.stable.as_ref()).map(|(release, _)| release.id.clone())
    }

    fn wanted_route(&self, env: &Env) -> Push {
        let generation = Generation::default();
        let Some(rollout) = self.active() else {
            return Push { generation, seen: None, stable: self.serving(), canary: None };
        };
        let wanted = desired(rollout);
        let canary = wanted.canary.filter(|_| wanted.stable.is_some()).map(|release| CanaryRoute {
            track: TrackRoute {
                release: release.id.clone(),
                upstreams: Vec::new(),
                protocol: release.deploy.protocol,
            },
            weight: weight_by_mistake(env, rollout).unwrap_or(wanted.weight),
            mirror: wanted.mirror,
            salt: rollout.id.to_string(),
            guard_key: wanted.guard_key.clone(),
            trips: wanted.trips.clone(),
        });
        let stable = wanted.stable.map(|release| release.id.clone());
        let canary = canary.or_else(|| self.kept_by_mistake(env, rollout));
        Push { generation, seen: Some((rollout.id.clone(), rollout.seq)), stable, canary }
    }

    /// The planted bug of leaving the canary its share on the way back.
    fn kept_by_mistake(&self, env: &Env, rollout: &Rollout) -> Option<CanaryRoute> {
        let back = matches!(rollout.state, State::RollingBack { .. });
        if !env.sabotaged(Sabotage::WeightStays) || !back {
            return None;
        }
        let last = self.sent.as_ref().and_then(|push| push.canary.clone());
        last.filter(|canary| canary.weight > Weight::ZERO)
    }

    fn wanted(&self) -> BTreeSet<String> {
        let canary = self.active().and_then(|rollout| desired(rollout).canary);
        let canary = canary.map(|release| release.id.clone());
        self.serving().into_iter().chain(canary).collect()
    }

    /// What the processes and the clock have to say to the machine.
    pub(super) fn outcomes(&mut self, env: &mut Env) -> Result<(), Stop> {
        for id in self.unfinished() {
            if let Some(outcome) = self.outcome(env, &id) {
                self.feed(env, &id, Input::Outcome(outcome))?;
            }
            if self.is_due(&id, env.now()) {
                self.feed(env, &id, Input::Tick)?;
            }
        }
        Ok(())
    }

    fn outcome(&self, env: &Env, id: &RolloutId) -> Option<Outcome> {
        let rollout = self.rollouts.get(id)?;
        match (&rollout.state, env.world.processes.get(&rollout.release.id)) {
            (State::Deploying { .. }, Some(Process::Ready)) => Some(Outcome::Deployed),
            (State::Deploying { .. }, Some(Process::Failing)) => {
                Some(Outcome::DeployFailed("it exited with status 1".to_owned()))
            }
            (State::RollingBack { .. }, None) => Some(Outcome::Withdrawn),
            _ => None,
        }
    }

    /// A rollout that waits begins once nothing else of its service is under way; one whose
    /// place was taken by a newer one while its controller died ends.
    pub(super) fn give_turns(&mut self, env: &mut Env) -> Result<(), Stop> {
        for id in self.unfinished() {
            let Some(rollout) = self.rollouts.get(&id) else { continue };
            let Some(facts) = self.board.service(&rollout.plan.service) else { continue };
            if !rollout.is_waiting() {
                continue;
            }
            let by = rollout::machine::Actor { who: rollout.author.clone(), via: "api".to_owned() };
            if let Some(newer) = facts.waiting.clone().filter(|newer| *newer != id) {
                self.feed(env, &id, Input::Command(Command::Supersede { by: newer }, by))?;
            }
        }
        for (id, input) in self.board.turns() {
            self.feed(env, &id, input)?;
        }
        Ok(())
    }
}

/// The planted bug of getting the next stage ready too early.
fn weight_by_mistake(env: &Env, rollout: &Rollout) -> Option<Weight> {
    let next = rollout.running().filter(|_| env.sabotaged(Sabotage::WeightAhead))?.stage + 1;
    rollout.plan.stages.get(next).map(|stage| stage.weight)
}
