//! The log as a snapshot for the proxies.

use rollout::machine::{Release, ServiceFacts, desired};
use rollout::plan::Plan;
use rollout::route::{CanaryRoute, ServiceRoute, TrackRoute};
use rollout::units::Weight;

use super::core::Core;
use crate::deployers::replicas::Replicas;

impl Core {
    /// How every service should be served now.
    pub(super) fn routes(&self) -> Vec<ServiceRoute> {
        self.board.services().filter_map(|(_, facts)| self.route(facts)).collect()
    }

    fn route(&self, facts: &ServiceFacts) -> Option<ServiceRoute> {
        let active = facts.active.as_ref().and_then(|id| self.rollouts.get(id));
        let Some(rollout) = active else {
            let (release, plan) = facts.stable.as_ref()?;
            return Some(self.service_route(plan, Some(release), None));
        };
        let wanted = desired(rollout);
        let going_back = self.going_back.contains_key(&rollout.id);
        let unless_going_back = |weight| if going_back { Weight::ZERO } else { weight };
        let canary = wanted.canary.filter(|_| wanted.stable.is_some()).map(|release| CanaryRoute {
            track: self.track(release),
            weight: unless_going_back(wanted.weight),
            mirror: unless_going_back(wanted.mirror),
            salt: rollout.id.to_string(),
            guard_key: wanted.guard_key.clone(),
            trips: wanted.trips.clone(),
        });
        let mut route = self.service_route(&rollout.plan, wanted.stable, canary);
        // A plan that listens elsewhere, or for other hosts and paths, moves the door once its
        // release is stable: before that, everyone still knocks at the old one.
        if let Some((_, serving)) = &facts.stable {
            route.listen.clone_from(&serving.listen);
            route.door.clone_from(&serving.door);
            route.route.clone_from(&serving.route);
        }
        Some(route)
    }

    fn service_route(
        &self,
        plan: &Plan,
        stable: Option<&Release>,
        canary: Option<CanaryRoute>,
    ) -> ServiceRoute {
        ServiceRoute {
            service: plan.service.clone(),
            listen: plan.listen.clone(),
            door: plan.door.clone(),
            route: plan.route.clone(),
            stable: stable.map(|release| self.track(release)),
            canary,
            sticky: plan.sticky.clone(),
            testers: self.testers(plan),
            segments: plan.segments.clone(),
            health: plan.health.clone(),
            timeouts: plan.timeouts,
            shield: plan.shield,
            balance: plan.balance,
            drain: plan.drain,
            latency_limits_us: plan.latency_limits_us(),
        }
    }

    fn track(&self, release: &Release) -> TrackRoute {
        let states = self.deployer.states();
        let upstreams = Replicas::of(&states, &release.id, release.deploy.replicas).addresses();
        TrackRoute { release: release.id.clone(), upstreams, protocol: release.deploy.protocol }
    }
}
