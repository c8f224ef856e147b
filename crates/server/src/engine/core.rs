//! What the engine's task holds.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rollout::machine::{Board, Rollout, RolloutId};
use rollout::route::Snapshot;
use store::Store;
use store::lease::Lease;
use tokio::sync::{broadcast, watch};
use traffic::ProxySettings;

use super::back::GoingBack;
use super::clock::{Clock, Mark};
use super::gather::Window;
use super::leaving::Leaving;
use super::marker::Markers;
use super::proxies::Proxies;
use super::rates::Rates;
use super::testers::Digests;
use crate::deployers::process::ProcessDeployer;
use crate::view::RolloutView;

/// What the engine is started with.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// The folder that holds the log, the processes' records and their output.
    pub state: PathBuf,
    /// How the proxy inside this process is set up; `None` when proxies run as processes of
    /// their own.
    pub proxy: Option<ProxySettings>,
}

/// Everything the engine's task owns. Nobody else writes to the log.
pub(super) struct Core {
    pub(super) store: Store,
    pub(super) lease: Lease,
    pub(super) clock: Clock,
    /// Every rollout of the log, by id.
    pub(super) rollouts: BTreeMap<RolloutId, Rollout>,
    /// Why each rollout last moved, one sentence.
    pub(super) last_moves: BTreeMap<RolloutId, String>,
    /// How rollouts that are over are listed, by id.
    pub(super) over: BTreeMap<RolloutId, Arc<RolloutView>>,
    pub(super) board: Board,
    pub(super) proxies: Proxies,
    pub(super) deployer: ProcessDeployer,
    /// Rollouts that must go back, while that cannot be written down.
    pub(super) going_back: BTreeMap<RolloutId, GoingBack>,
    /// The same for whoever comes after this process.
    pub(super) markers: Markers,
    /// Another controller drives now; this one must stop.
    pub(super) overtaken: bool,
    /// When this engine started.
    pub(super) started: Mark,
    /// The window of traffic being counted, for each rollout under way.
    pub(super) windows: BTreeMap<RolloutId, Window>,
    /// Releases that have left and still answer requests under way.
    pub(super) leaving: BTreeMap<String, Leaving>,
    pub(super) rates: Rates,
    /// Why nothing may advance: the log is shorter than it was, changed, or without its anchor.
    pub(super) frozen: Option<String>,
    /// How testers are known.
    pub(super) digests: Digests,
    /// What was last pushed to the proxies.
    pub(super) snapshot: Snapshot,
    /// When the embedded proxy last could not serve all of it.
    pub(super) unserved: Option<Mark>,
    pub(super) snapshots: watch::Sender<Snapshot>,
    pub(super) changes: broadcast::Sender<RolloutId>,
    /// What an operator should know, by what it is about.
    pub(super) notices: BTreeMap<String, String>,
    /// Wakes the task that delivers messages.
    pub(super) owed: std::sync::Arc<tokio::sync::Notify>,
}

impl Core {
    /// The rollouts that are not over, by id.
    pub(super) fn unfinished(&self) -> Vec<RolloutId> {
        self.rollouts
            .values()
            .filter(|rollout| !rollout.is_over())
            .map(|rollout| rollout.id.clone())
            .collect()
    }
}
