//! `GET /api/rollouts/{id}/events`

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::app::App;
use crate::api::errors::{ApiError, ReadErrors};
use crate::api::extract::{Id, Params};
use crate::view::EventView;

/// Which events.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Only those after this number; 0 for all.
    #[serde(default)]
    #[param(default = 0)]
    after: u64,
}

/// A rollout's history: everything that happened to it, in order, each with its sentence.
#[utoipa::path(
    get,
    path = "/api/rollouts/{id}/events",
    operation_id = "list_events",
    tag = "rollouts",
    params(("id" = String, Path, description = "The rollout's id"), Asked),
    responses((status = 200, description = "The events", body = [EventView]), ReadErrors)
)]
pub(super) async fn events(
    State(app): State<App>,
    Id(id): Id,
    Params(asked): Params<Asked>,
) -> Result<Json<Vec<EventView>>, ApiError> {
    Ok(Json(app.engine.history(&id, asked.after).await?))
}
