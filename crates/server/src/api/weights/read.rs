//! `GET /api/traffic-weights`

use axum::Json;
use axum::extract::State;

use super::{Asked, under_way, weights};
use crate::api::app::App;
use crate::api::errors::{ApiError, ReadErrors};
use crate::api::extract::Params;
use crate::view::Weights;

/// How a service's traffic is shared: what the proxy has in force, or what the log asks for
/// while that is not known.
#[utoipa::path(
    get,
    path = "/api/traffic-weights",
    operation_id = "read_weights",
    tag = "weights",
    params(Asked),
    responses((status = 200, description = "The shares", body = Weights), ReadErrors)
)]
pub(super) async fn read(
    State(app): State<App>,
    Params(asked): Params<Asked>,
) -> Result<Json<Weights>, ApiError> {
    let views = asked.of(app.engine.views().await?)?;
    Ok(Json(weights(under_way(&views))))
}
