//! `GET /healthz`: whether the server answers. Needs no token.

use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::errors::{ApiError, ErrorBody};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show))
}

/// Whether the server and its engine answer.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "health",
    security(()),
    responses(
        (status = 200, description = "Both answer", body = String, content_type = "text/plain"),
        (status = 503, description = "The engine has stopped", body = ErrorBody),
    )
)]
async fn show(State(app): State<App>) -> Result<&'static str, ApiError> {
    app.engine.alive().await?;
    Ok("ok\n")
}
