//! `POST /api/rollouts/{id}/resume`

use axum::Json;
use axum::extract::State;
use rollout::machine::Command;

use super::command;
use crate::api::access::Caller;
use crate::api::app::App;
use crate::api::errors::{ApiError, ChangeErrors};
use crate::api::extract::Id;
use crate::view::RolloutView;

/// Takes up again what was paused. There is no body.
#[utoipa::path(
    post,
    path = "/api/rollouts/{id}/resume",
    operation_id = "resume_rollout",
    tag = "rollouts",
    params(("id" = String, Path, description = "The rollout's id")),
    responses((status = 200, description = "How it stands now", body = RolloutView), ChangeErrors)
)]
pub(super) async fn resume(
    State(app): State<App>,
    Id(id): Id,
    caller: Caller,
) -> Result<Json<RolloutView>, ApiError> {
    command(&app, id, Command::Resume, caller).await
}
