//! `POST /api/rollouts/{id}/rollback`

use axum::Json;
use axum::extract::State;
use rollout::machine::Command;

use super::{Because, command};
use crate::api::access::Caller;
use crate::api::app::App;
use crate::api::errors::{ApiError, ChangeErrors};
use crate::api::extract::{Body, Id};
use crate::view::RolloutView;

/// Goes back to stable. Allowed while there is something to go back from; asking twice is the
/// same as asking once.
#[utoipa::path(
    post,
    path = "/api/rollouts/{id}/rollback",
    operation_id = "rollback_rollout",
    tag = "rollouts",
    params(("id" = String, Path, description = "The rollout's id")),
    request_body = Because,
    responses((status = 200, description = "How it stands now", body = RolloutView), ChangeErrors)
)]
pub(super) async fn rollback(
    State(app): State<App>,
    Id(id): Id,
    caller: Caller,
    Body(because): Body<Because>,
) -> Result<Json<RolloutView>, ApiError> {
    command(&app, id, Command::RollBack { why: because.reason()? }, caller).await
}
