//! `GET /api/rollouts/{id}/stream`

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use rollout::machine::RolloutId;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;

use crate::api::access::Caller;
use crate::api::app::App;
use crate::api::errors::{ApiError, ReadErrors};
use crate::api::extract::Id;
use crate::api::sse;
use crate::view::RolloutView;

/// At most so long between two views: what is observed changes without an event.
const EVERY: Duration = Duration::from_secs(1);

/// A rollout as it changes: server-sent events named `rollout`, each a whole `RolloutView`, with
/// the number of its last event as id. One comes at once, then one on each change and at least
/// one a second. The stream ends after the view that says the rollout is over; whoever has seen
/// that one and asks again is answered 204.
#[utoipa::path(
    get,
    path = "/api/rollouts/{id}/stream",
    operation_id = "stream_rollout",
    tag = "rollouts",
    params(
        ("id" = String, Path, description = "The rollout's id"),
        ("last-event-id" = Option<u64>, Header, description = "The last id seen, as browsers send it"),
    ),
    responses(
        (status = 200, description = "The views", body = RolloutView, content_type = "text/event-stream"),
        (status = 204, description = "It is over, and you have seen its end"),
        ReadErrors,
    )
)]
pub(super) async fn stream(
    State(app): State<App>,
    Id(id): Id,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let changes = app.engine.changes();
    let first = app.engine.view(&id).await?;
    if first.over && last_seen(&headers) == Some(first.seq) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let watch = Watch { app, id, caller, changes };
    let views = unfold((watch, Next::View(Box::new(first))), async |(mut watch, next)| {
        let view = match next {
            Next::View(view) => *view,
            Next::Wait => watch.next().await?,
            Next::End => return None,
        };
        let then = if view.over { Next::End } else { Next::Wait };
        Some((event(&view), (watch, then)))
    });
    Ok(sse::answer(views).into_response())
}

/// Somebody who watches a rollout.
struct Watch {
    app: App,
    id: RolloutId,
    caller: Caller,
    changes: broadcast::Receiver<RolloutId>,
}

/// What a stream does next.
enum Next {
    View(Box<RolloutView>),
    Wait,
    End,
}

impl Watch {
    /// The next view; `None` when the server stops or whoever watches may no longer.
    async fn next(&mut self) -> Option<RolloutView> {
        let Self { app, id, caller, changes } = self;
        tokio::select! {
            () = app.stopping.wait() => return None,
            () = changed(changes, id) => {}
            () = sleep(EVERY) => {}
        }
        if !app.auth.holds(caller) {
            return None;
        }
        app.engine.view(id).await.ok()
    }
}

/// Answers once the rollout has changed, or may have.
async fn changed(changes: &mut broadcast::Receiver<RolloutId>, id: &RolloutId) {
    loop {
        match changes.recv().await {
            Ok(other) if other != *id => {}
            Ok(_) | Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

fn event(view: &RolloutView) -> Event {
    let event = Event::default().event("rollout").id(view.seq.to_string());
    // A view is made of texts and finite numbers, so it always becomes JSON.
    event.json_data(view).unwrap_or_else(|error| Event::default().comment(error.to_string()))
}

fn last_seen(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}
