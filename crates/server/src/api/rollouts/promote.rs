//! `POST /api/rollouts/{id}/promote`

use axum::Json;
use axum::extract::State;
use rollout::machine::Command;

use super::{Because, command};
use crate::api::access::Caller;
use crate::api::app::App;
use crate::api::errors::{ApiError, ChangeErrors};
use crate::api::extract::{Body, Id};
use crate::view::RolloutView;

/// Ends the stage now, without its soak and without waiting for evidence; never over a failed
/// gate.
#[utoipa::path(
    post,
    path = "/api/rollouts/{id}/promote",
    operation_id = "promote_rollout",
    tag = "rollouts",
    params(("id" = String, Path, description = "The rollout's id")),
    request_body = Because,
    responses((status = 200, description = "How it stands now", body = RolloutView), ChangeErrors)
)]
pub(super) async fn promote(
    State(app): State<App>,
    Id(id): Id,
    caller: Caller,
    Body(because): Body<Because>,
) -> Result<Json<RolloutView>, ApiError> {
    command(&app, id, Command::Promote { why: because.reason()? }, caller).await
}
