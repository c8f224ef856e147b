//! What should be so is compared with what is, and the difference becomes commands. Over and
//! over, with no memory of what was pushed before.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rollout::machine::{Input, Outcome, Release, Rollout, RolloutId, State, desired};
use rollout::plan::Plan;
use rollout::route::{Generation, ServiceRoute, Snapshot};
use rollout::units::{Millis, Weight};

use super::core::Core;
use super::handle::EngineError;
use super::leaving::Leaving;
use crate::deployers::Wanted;
use crate::deployers::replicas::Replicas;

/// After so long the proxy is asked again to serve what it could not: a port may be free by then.
const SERVE_AGAIN: Millis = Millis::from_secs(1);

/// Processes that ran on while the controller was away are found again within this time; until
/// then proxies keep what they serve, which is better than a snapshot without upstreams.
const FOUND_WITHIN: Millis = Millis::from_secs(2);

impl Core {
    /// Brings the proxies, then the processes, to what the log says.
    pub(super) async fn reconcile(&mut self) {
        self.read_testers().await;
        self.push();
        let wanted = self.wanted();
        self.deployer.want(wanted).await;
    }

    /// Pushes a new snapshot when it would differ from the last one; after a while the same one
    /// when that could not be served whole.
    pub(super) fn push(&mut self) {
        let services = self.routes();
        let pushed = self.snapshot.generation != Generation::default();
        if pushed && services == self.snapshot.services {
            if self.unserved.is_some_and(|since| since.elapsed() >= SERVE_AGAIN) {
                self.serve();
            }
            return;
        }
        let young = !pushed && self.started.elapsed() < FOUND_WITHIN;
        if young && services.iter().any(lacks_upstreams) {
            return;
        }
        let generation = Generation {
            epoch: self.lease.epoch(),
            seq: self.snapshot.generation.seq.saturating_add(1),
        };
        self.snapshot = Snapshot { generation, services };
        self.serve();
        self.snapshots.send_replace(self.snapshot.clone());
    }

    /// Has the embedded proxy serve what it should.
    fn serve(&mut self) {
        let served = self.proxies.serve(&self.snapshot);
        self.unserved = (!served).then(|| self.clock.mark());
    }

    /// Says which services some proxy cannot serve as it should.
    pub(super) fn note_refused(&mut self) {
        if let Some(why) = self.proxies.refused() {
            self.notice("proxy", format!("not everything is served as it should be: {why}"));
        } else {
            self.notices.remove("proxy");
        }
    }

    /// Every process that should run: stable and canary of each service, and what has left
    /// but still answers.
    fn wanted(&mut self) -> Vec<Wanted> {
        let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
        for (_, facts) in self.board.services() {
            if let Some((release, plan)) = &facts.stable {
                wanted.insert(release.id.clone(), process(release, plan));
            }
            if let Some(rollout) = facts.active.as_ref().and_then(|id| self.rollouts.get(id))
                && let Some(release) = desired(rollout).canary
            {
                wanted.insert(release.id.clone(), process(release, &rollout.plan));
            }
        }
        self.keep_leaving(&wanted);
        wanted
            .into_values()
            .chain(self.leaving.values().filter_map(Leaving::wanted).cloned())
            .collect()
    }

    /// What the processes and the clock have to say to the machine.
    pub(super) async fn outcomes(&mut self) {
        for id in self.unfinished() {
            let Some(rollout) = self.rollouts.get(&id) else { continue };
            // A version that starts gets its time from this controller, however long the one
            // before it has been gone.
            let patient = self.started.elapsed() < rollout.plan.deploy.ready_within.times(2);
            if let Some(outcome) = self.outcome(rollout) {
                if outcome == Outcome::Withdrawn {
                    self.gather_last(&id).await;
                }
                self.feed_logged(&id, Input::Outcome(outcome)).await;
            }
            if !patient {
                self.feed_logged(&id, Input::Tick).await;
            }
        }
        self.supersede_older().await;
        self.give_turns().await;
    }

    fn outcome(&self, rollout: &Rollout) -> Option<Outcome> {
        let states = self.deployer.states();
        let Release { id, deploy, .. } = &rollout.release;
        let replicas = Replicas::of(&states, id, deploy.replicas);
        match &rollout.state {
            State::Deploying { .. } if replicas.are_ready() => Some(Outcome::Deployed),
            State::Deploying { .. } => replicas.failing().map(Outcome::DeployFailed),
            State::RollingBack { .. } if replicas.are_gone() => Some(Outcome::Withdrawn),
            _ => None,
        }
    }

    /// A rollout that waits begins once nothing else of its service is under way, or is kept
    /// from it.
    pub(super) async fn give_turns(&mut self) {
        for (id, input) in self.board.turns() {
            self.feed_logged(&id, input).await;
        }
    }

    /// Feeds what nobody waits for the answer of; false when it could not be written down. It
    /// is shown then, and tried again: levels at the next step, windows of traffic because they
    /// stay open, and what demands to go back because it is remembered.
    pub(super) async fn feed_logged(&mut self, id: &RolloutId, input: Input) -> bool {
        match self.feed(id, input).await {
            Ok(_) | Err(EngineError::Refused(_)) => true,
            Err(error) => {
                self.notice("log", format!("{id}: {error}"));
                false
            }
        }
    }

    pub(super) fn notice(&mut self, about: &str, text: String) {
        if self.notices.get(about) != Some(&text) {
            tracing::warn!(about, text, "notice");
            self.notices.insert(about.to_owned(), text);
        }
    }
}

pub(super) fn process(release: &Release, plan: &Plan) -> Wanted {
    Wanted {
        release: release.id.clone(),
        version: release.version.clone(),
        deploy: release.deploy.clone(),
        health: plan.health.clone(),
        drain: plan.drain.max(Millis::from_secs(1)),
        directory: PathBuf::from(&release.directory),
    }
}

/// Whether somebody would meet a release that has nowhere to send them.
fn lacks_upstreams(route: &ServiceRoute) -> bool {
    let canary =
        route.canary.as_ref().filter(|canary| canary.weight.max(canary.mirror) > Weight::ZERO);
    let tracks = route.stable.iter().chain(canary.map(|canary| &canary.track));
    tracks.into_iter().any(|track| track.upstreams.is_empty())
}
