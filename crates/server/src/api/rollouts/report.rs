//! `GET /api/rollouts/{id}/report`

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::api::app::App;
use crate::api::errors::{ApiError, ReadErrors};
use crate::api::extract::{Id, Params};
use crate::documents::report::{Report, markdown, report as make};

/// In which form.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// For programs or for people.
    #[serde(default)]
    #[param(inline)]
    format: Format,
}

/// The forms a report has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    /// For programs.
    #[default]
    Json,
    /// For people.
    Markdown,
}

/// What a rollout amounted to: per stage the figures and verdicts, and every decision.
#[utoipa::path(
    get,
    path = "/api/rollouts/{id}/report",
    operation_id = "report_rollout",
    tag = "rollouts",
    params(("id" = String, Path, description = "The rollout's id"), Asked),
    responses(
        (status = 200, description = "The report", content(
            (Report = "application/json"),
            (String = "text/markdown"),
        )),
        ReadErrors,
    )
)]
pub(super) async fn report(
    State(app): State<App>,
    Id(id): Id,
    Params(asked): Params<Asked>,
) -> Result<Response, ApiError> {
    let rollout = app.engine.rollout(&id).await?;
    let history = app.engine.history(&id, 0).await?;
    let report = make(&rollout, &history);
    Ok(match asked.format {
        Format::Json => Json(report).into_response(),
        Format::Markdown => {
            ([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], markdown(&report))
                .into_response()
        }
    })
}
