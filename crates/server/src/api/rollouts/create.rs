//! `POST /api/rollouts`

use std::path::Path;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::access::Caller;
use crate::api::app::App;
use crate::api::errors::{ApiError, ChangeErrors, ErrorBody};
use crate::api::extract::Body;
use crate::engine::Create;

/// What somebody wants released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRollout {
    /// The plan file's name, for messages.
    pub plan_name: String,
    /// The plan as written, YAML.
    pub plan: String,
    /// The version's name; fills `{version}`.
    pub version: String,
    /// The folder relative paths of the plan start from; absolute.
    pub directory: String,
    /// Try it although the version was rolled back before.
    #[serde(default)]
    pub again: bool,
    /// Move to the plan's `listen` address, or give up hosts and paths its `route` leaves out:
    /// nobody answers at the old ones any more when the release is stable.
    #[serde(default)]
    pub new_listen: bool,
}

/// The rollout that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Created {
    /// Its id.
    pub id: String,
}

/// Asks for a rollout. It begins at once unless another of the service is under way; then it
/// waits for its turn.
#[utoipa::path(
    post,
    path = "/api/rollouts",
    operation_id = "create_rollout",
    tag = "rollouts",
    request_body = CreateRollout,
    responses(
        (status = 201, description = "It is written down", body = Created),
        (status = 422, description = "The plan has errors; nothing was started", body = ErrorBody),
        ChangeErrors,
    )
)]
pub(super) async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(asked): Body<CreateRollout>,
) -> Result<impl IntoResponse, ApiError> {
    if !Path::new(&asked.directory).is_absolute() {
        let message =
            format!("read the directory {:?}; allowed: an absolute path", asked.directory);
        return Err(ApiError::invalid(message));
    }
    let create = Create {
        plan_name: asked.plan_name,
        plan: asked.plan,
        version: asked.version,
        directory: asked.directory,
        again: asked.again,
        new_listen: asked.new_listen,
        by: caller.actor,
    };
    let id = app.engine.create(create).await?.to_string();
    let location = [(header::LOCATION, format!("/api/rollouts/{id}"))];
    Ok((StatusCode::CREATED, location, Json(Created { id })))
}
