//! `POST /api/rollouts/{id}/promote`

use axum::Json;
use axum::extract::State;
use rollout::machine::Command;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Because, command};
use crate::api::access::Caller;
use crate::api::app::App;
use crate::api::errors::{ApiError, ChangeErrors};
use crate::api::extract::{Body, Id};
use crate::view::RolloutView;

/// Which stage is to end, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Promotion {
    /// The stage that is meant, `bake` for the bake; refused when another is under way. Left
    /// out, it is the one under way, and asking twice may end two.
    #[serde(default)]
    pub stage: Option<String>,
    /// The reason, for the history; may be empty, at most 500 characters.
    #[serde(default)]
    pub why: String,
}

/// Ends the stage now, without its soak and without waiting for evidence; never over a failed
/// gate.
#[utoipa::path(
    post,
    path = "/api/rollouts/{id}/promote",
    operation_id = "promote_rollout",
    tag = "rollouts",
    params(("id" = String, Path, description = "The rollout's id")),
    request_body = Promotion,
    responses((status = 200, description = "How it stands now", body = RolloutView), ChangeErrors)
)]
pub(super) async fn promote(
    State(app): State<App>,
    Id(id): Id,
    caller: Caller,
    Body(asked): Body<Promotion>,
) -> Result<Json<RolloutView>, ApiError> {
    let why = Because { why: asked.why }.reason()?;
    command(&app, id, Command::Promote { stage: asked.stage, why }, caller).await
}
