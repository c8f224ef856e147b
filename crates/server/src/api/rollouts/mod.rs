//! Rollouts: asked for, looked at, told what to do.

mod create;
mod events;
mod list;
mod pause;
mod promote;
mod report;
mod resume;
mod rollback;
mod show;
mod stream;

use axum::Json;
use rollout::machine::{Command, RolloutId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::Caller;
use super::app::App;
use super::errors::ApiError;
use crate::view::RolloutView;

pub use create::{CreateRollout, Created};
pub use promote::Promotion;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(show::show))
        .routes(routes!(pause::pause))
        .routes(routes!(resume::resume))
        .routes(routes!(promote::promote))
        .routes(routes!(rollback::rollback))
        .routes(routes!(events::events))
        .routes(routes!(report::report))
        .routes(routes!(stream::stream))
}

/// The longest reason, in characters.
const LONGEST_REASON: usize = 500;

/// Why something is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Because {
    /// The reason, for the history; may be empty, at most 500 characters.
    #[serde(default)]
    pub why: String,
}

impl Because {
    /// The reason, if it can stand in a history that terminals show.
    fn reason(self) -> Result<String, ApiError> {
        if self.why.chars().any(char::is_control) {
            return Err(ApiError::invalid(
                "`why` holds a control character; allowed: one line of text",
            ));
        }
        let length = self.why.chars().count();
        if length > LONGEST_REASON {
            let message = format!("`why` has {length} characters; allowed: up to {LONGEST_REASON}");
            return Err(ApiError::invalid(message));
        }
        Ok(self.why)
    }
}

/// Asks something of a rollout and answers how it stands afterwards.
async fn command(
    app: &App,
    id: RolloutId,
    command: Command,
    caller: Caller,
) -> Result<Json<RolloutView>, ApiError> {
    app.engine.command(&id, command, caller.actor).await?;
    Ok(Json(app.engine.view(&id).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(why: &str) -> Result<String, ApiError> {
        Because { why: why.to_owned() }.reason()
    }

    #[test]
    fn a_reason_is_one_line_that_fits_a_history() {
        assert_eq!(reason(""), Ok(String::new()));
        assert_eq!(reason("looks good · ✓"), Ok("looks good · ✓".to_owned()));
        assert_eq!(reason(&"é".repeat(500)), Ok("é".repeat(500)));
        reason(&"é".repeat(501)).unwrap_err();
        reason("red \u{1b}[31m").unwrap_err();
        reason("two\nlines").unwrap_err();
    }
}
