//! `GET /api/rollouts`

use axum::Json;
use axum::extract::State;

use crate::api::app::App;
use crate::api::errors::{ApiError, ReadErrors};
use crate::view::RolloutView;

/// Every rollout, the newest first. Those that are over come without tracks and notices; look at
/// one by its id to see what its releases do now.
#[utoipa::path(
    get,
    path = "/api/rollouts",
    operation_id = "list_rollouts",
    tag = "rollouts",
    responses((status = 200, description = "Every rollout", body = [RolloutView]), ReadErrors)
)]
pub(super) async fn list(State(app): State<App>) -> Result<Json<Vec<RolloutView>>, ApiError> {
    Ok(Json(app.engine.views().await?))
}
