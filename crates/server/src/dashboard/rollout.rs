//! One rollout: the page somebody watches while it is under way.

use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use maud::{Markup, html};
use rollout::machine::RolloutId;

use super::{actions, frame, gates, moves, stages, text, tracks};
use crate::api::App;
use crate::engine::EngineError;
use crate::view::{EventView, RolloutView};

pub(super) async fn page(State(app): State<App>, Path(id): Path<String>) -> Response {
    match gather(&app, id).await {
        Ok((view, events)) => {
            let stream = format!("/api/rollouts/{}/stream", view.id);
            let part = format!("/rollouts/{}/part", view.id);
            let page = frame::page(&view.id, &stream, &part, &render(&view, &events));
            Html(page.into_string()).into_response()
        }
        Err(error) => frame::failed(&error),
    }
}

pub(super) async fn part(State(app): State<App>, Path(id): Path<String>) -> Response {
    match gather(&app, id).await {
        Ok((view, events)) => Html(render(&view, &events).into_string()).into_response(),
        Err(error) => frame::failed(&error),
    }
}

async fn gather(app: &App, id: String) -> Result<(RolloutView, Vec<EventView>), EngineError> {
    let id = RolloutId(id);
    let view = app.engine.view(&id).await?;
    let events = app.engine.moves(&id).await?;
    Ok((view, events))
}

/// The same elements at all times, so that the page changes only what is new in them.
fn render(view: &RolloutView, events: &[EventView]) -> Markup {
    html! {
        (head(view))
        div role="alert" aria-atomic="false" {
            @for notice in &view.notices { p.notice { (notice) } }
        }
        div { (actions::render(view)) }
        div.columns {
            (tracks::render(view))
            (stages::render(view))
            (gates::render(&view.gates))
            (moves::render(view, events))
        }
    }
}

fn head(view: &RolloutView) -> Markup {
    html! {
        h1 data-over=[view.over.then_some("true")] {
            (view.service) " " (view.version) " "
            span.state data-state=(view.state) { (view.state) }
        }
        p.why #why { (view.why) }
        p.small {
            (view.id) ", asked for by " (view.author) " at " (text::moment(view.created_at))
            @if let Some(ended) = view.ended_at { ", ended at " (text::moment(ended)) }
            " · " a href={ "/api/rollouts/" (view.id) "/report?format=markdown" } { "report" }
            " · digest " code title=(view.digest) { (short(&view.digest)) }
        }
    }
}

fn short(digest: &str) -> String {
    digest.trim_start_matches("sha256:").chars().take(12).collect()
}
