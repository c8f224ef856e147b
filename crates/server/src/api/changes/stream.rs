//! `GET /api/stream`

use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::Event;
use futures_util::stream::unfold;
use rollout::machine::RolloutId;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;

use crate::api::access::Caller;
use crate::api::app::App;
use crate::api::errors::ReadErrors;
use crate::api::sse;

/// How often it is asked whether whoever watches still may.
const EVERY: Duration = Duration::from_secs(1);

/// Which rollouts change, as they do: server-sent events named `changed`, each with the id of a
/// rollout as its data. `changed` without data means that some were missed: read the list again.
#[utoipa::path(
    get,
    path = "/api/stream",
    operation_id = "stream_changes",
    tag = "rollouts",
    responses(
        (status = 200, description = "The ids", body = String, content_type = "text/event-stream"),
        ReadErrors,
    )
)]
pub(super) async fn stream(State(app): State<App>, caller: Caller) -> impl IntoResponse {
    let changes = app.engine.changes();
    let watch = Watch { app, caller, changes };
    sse::answer(unfold(watch, async |mut watch| Some((watch.next().await?, watch))))
}

/// Somebody who watches every rollout.
struct Watch {
    app: App,
    caller: Caller,
    changes: broadcast::Receiver<RolloutId>,
}

impl Watch {
    /// The next change; `None` when the server or the engine stops, or whoever watches may no
    /// longer.
    async fn next(&mut self) -> Option<Event> {
        while self.app.auth.holds(&self.caller) {
            tokio::select! {
                () = self.app.stopping.wait() => return None,
                () = self.app.engine.ended() => return None,
                change = self.changes.recv() => return event(change),
                () = sleep(EVERY) => {}
            }
        }
        None
    }
}

fn event(change: Result<RolloutId, RecvError>) -> Option<Event> {
    let event = Event::default().event("changed");
    match change {
        Ok(id) => Some(event.data(id.to_string())),
        Err(RecvError::Lagged(_)) => Some(event.data("")),
        Err(RecvError::Closed) => None,
    }
}
