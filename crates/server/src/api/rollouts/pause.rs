//! `POST /api/rollouts/{id}/pause`

use axum::Json;
use axum::extract::State;
use rollout::machine::Command;

use super::{Because, command};
use crate::api::access::Caller;
use crate::api::app::App;
use crate::api::errors::{ApiError, ChangeErrors};
use crate::api::extract::{Body, Id};
use crate::view::RolloutView;

/// Keeps a rollout in its stage until it is resumed. Guardrails still roll it back.
#[utoipa::path(
    post,
    path = "/api/rollouts/{id}/pause",
    operation_id = "pause_rollout",
    tag = "rollouts",
    params(("id" = String, Path, description = "The rollout's id")),
    request_body = Because,
    responses((status = 200, description = "How it stands now", body = RolloutView), ChangeErrors)
)]
pub(super) async fn pause(
    State(app): State<App>,
    Id(id): Id,
    caller: Caller,
    Body(because): Body<Because>,
) -> Result<Json<RolloutView>, ApiError> {
    command(&app, id, Command::Pause { why: because.reason()? }, caller).await
}
