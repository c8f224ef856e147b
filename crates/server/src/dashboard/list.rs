//! Every rollout, one line each.

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use maud::{Markup, html};

use super::{frame, text};
use crate::api::App;
use crate::engine::EngineError;
use crate::view::RolloutView;

pub(super) async fn page(State(app): State<App>) -> Response {
    answer(&app, |part| frame::page("Rollouts", "/api/stream", "/part", part)).await
}

pub(super) async fn part(State(app): State<App>) -> Response {
    answer(&app, Markup::clone).await
}

async fn answer(app: &App, shape: impl FnOnce(&Markup) -> Markup) -> Response {
    let views: Result<Vec<RolloutView>, EngineError> = app.engine.views().await;
    match views {
        Ok(views) => Html(shape(&render(&views)).into_string()).into_response(),
        Err(error) => frame::failed(&error),
    }
}

fn render(views: &[RolloutView]) -> Markup {
    html! {
        h1 { "Rollouts" }
        @if views.is_empty() {
            p { "There is no rollout yet. Start one with " code { "sluice start sluice.yaml --version v1" } "." }
        } @else {
            div.scroll {
                table {
                    thead { tr {
                        @for head in ["Rollout", "Version", "State", "Weight", "Why", "Asked for"] {
                            th scope="col" { (head) }
                        }
                    } }
                    tbody { @for view in views { (line(view)) } }
                }
            }
        }
    }
}

fn line(view: &RolloutView) -> Markup {
    html! {
        tr {
            th scope="row" { a href={ "/rollouts/" (view.id) } { (view.id) } }
            td { (view.version) }
            td { span.state data-state=(view.state) { (view.state) } }
            td { (view.weight) }
            td { (view.why) }
            td { (text::moment(view.created_at)) " by " (view.author) }
        }
    }
}
