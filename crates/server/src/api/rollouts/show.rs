//! `GET /api/rollouts/{id}`

use axum::Json;
use axum::extract::State;

use crate::api::app::App;
use crate::api::errors::{ApiError, ReadErrors};
use crate::api::extract::Id;
use crate::view::RolloutView;

/// One rollout as it stands, and as observed.
#[utoipa::path(
    get,
    path = "/api/rollouts/{id}",
    operation_id = "show_rollout",
    tag = "rollouts",
    params(("id" = String, Path, description = "The rollout's id")),
    responses((status = 200, description = "The rollout", body = RolloutView), ReadErrors)
)]
pub(super) async fn show(
    State(app): State<App>,
    Id(id): Id,
) -> Result<Json<RolloutView>, ApiError> {
    Ok(Json(app.engine.view(&id).await?))
}
