//! A rollout as people and programs see it: the same shape for the API, the command line and
//! the dashboard.
//!
//! What is shown as serving is what the proxy observed, not what was asked for.

mod state;

use rollout::machine::{Event, GateVerdict, TrackTotals};
use rollout::units::{Millis, Timestamp, Weight};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use state::RolloutState;

/// One rollout, whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutView {
    /// The rollout's id, `<service>-<number>`.
    pub id: String,
    /// The service.
    pub service: String,
    /// The version being released.
    pub version: String,
    /// SHA-256 over program, arguments and environment, hex.
    pub digest: String,
    /// SHA-256 of the plan as written, hex.
    pub plan_hash: String,
    /// Who asked for it.
    pub author: String,
    /// Where it stands.
    pub state: RolloutState,
    /// True once nothing can happen to it any more.
    pub over: bool,
    /// True once its turn has come: it is being brought up, or was.
    pub begun: bool,
    /// True while its stage holds and a person has been asked to look.
    pub person_asked: bool,
    /// When it was asked for, milliseconds since the Unix epoch.
    #[schema(value_type = i64)]
    pub created_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<i64>)]
    pub ended_at: Option<Timestamp>,
    /// Why it stands where it stands, one sentence.
    pub why: String,
    /// Why it last moved, one sentence.
    pub last_move: String,
    /// The weight the log asks for, in thousandths of a percent.
    #[schema(value_type = u32)]
    pub weight: Weight,
    /// A weight somebody said not to pass.
    #[schema(value_type = Option<u32>)]
    pub limit: Option<Weight>,
    /// Who meets what, as observed; in the list empty for what is over.
    pub tracks: Vec<TrackView>,
    /// The plan's stages, in order, and the bake where there is one.
    pub stages: Vec<StageView>,
    /// The gates of the stage under way.
    #[schema(value_type = Vec<Object>)]
    pub gates: Vec<GateVerdict>,
    /// What may be asked of it now, and why not the rest.
    pub actions: Vec<ActionView>,
    /// Something the operator should know: a proxy that does not answer, a message that
    /// cannot be delivered, a gate shut by the guard.
    pub notices: Vec<String>,
    /// How many events it has.
    pub seq: u64,
}

impl RolloutView {
    /// The stage under way; the bake counts as one.
    pub fn stage(&self) -> Option<&StageView> {
        self.stages.iter().find(|stage| stage.status == "current")
    }
}

/// One track, as observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrackView {
    /// `stable` or `canary`.
    pub track: String,
    /// The version it serves.
    pub version: String,
    /// The release's id.
    pub release: String,
    /// The share of requests of the last few seconds that went here, 0..1; `None` without
    /// traffic or while it is not known.
    pub share: Option<f64>,
    /// The weight the proxy has in force, in thousandths of a percent; `None` while it is not
    /// known.
    #[schema(value_type = Option<u32>)]
    pub in_force: Option<Weight>,
    /// Why the weight in force is not what was asked for.
    pub withheld: Option<String>,
    /// Requests a second over the last few seconds.
    pub per_second: f64,
    /// Sums over the stage under way.
    #[schema(value_type = Object)]
    pub totals: TrackTotals,
    /// Median latency to the first byte in the stage, milliseconds.
    pub p50_ms: Option<f64>,
    /// 99th percentile, milliseconds.
    pub p99_ms: Option<f64>,
    /// Requests under way.
    pub in_flight: u64,
    /// Its process: `starting`, `ready on 127.0.0.1:4711 (pid 12)`, `failing: ...`; where a plan asks
    /// for several, how many are well: `2 of 3 ready on ..., ...; process 2 failing ...`.
    pub process: String,
}

/// One stage of the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StageView {
    /// Its name; `bake` for the bake.
    pub name: String,
    /// Who may meet the canary, in thousandths of a percent.
    #[schema(value_type = u32)]
    pub weight: Weight,
    /// The observed time it must last at least, milliseconds.
    #[schema(value_type = u64)]
    pub soak: Millis,
    /// The observed time so far, milliseconds.
    #[schema(value_type = u64)]
    pub observed: Millis,
    /// `done`, `current`, `failed`, `to come` or `left out` (a first release skips them all;
    /// a rollout that is over went no further).
    pub status: String,
    /// When it began.
    #[schema(value_type = Option<i64>)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<i64>)]
    pub ended_at: Option<Timestamp>,
}

/// Something that may be asked of a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActionView {
    /// `pause`, `resume`, `promote` or `rollback`.
    pub name: String,
    /// Why it would be refused now; `None` when it is allowed.
    pub refused: Option<String>,
}

/// One event of a rollout's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// Its number within the rollout, from 1.
    pub seq: u64,
    /// When it happened.
    #[schema(value_type = i64)]
    pub at: Timestamp,
    /// Its kind, `stage_started`.
    pub kind: String,
    /// What happened, one sentence.
    pub text: String,
    /// The event itself.
    #[schema(value_type = Object)]
    pub event: Event,
}

/// The shares of a service's traffic, as `POST /api/traffic-weights` reads and writes them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// The share that stays on stable, 0..=1; with `canary` it sums to 1.
    pub stable: f64,
    /// The share that may meet the canary, 0..=1.
    pub canary: f64,
}
