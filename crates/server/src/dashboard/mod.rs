//! The dashboard: what serves which share, where in the plan, what the gates say, why it last
//! moved, and what can be done. Five questions, one page, no scrolling.
//!
//! Pages are made on the server. A small module ([`assets`]) listens to the API's stream and
//! fetches the part that has changed; charts are drawn here as SVG. That leaves nothing to
//! build, nothing to download at the user's side, and no script that could be anybody else's.
//!
//! Deliberately absent: state of its own, and an action the API would not take. Buttons call
//! the API; what it would refuse is shown with its reason instead.

mod actions;
mod assets;
mod frame;
mod gates;
mod list;
mod moves;
mod rollout;
mod stages;
mod text;
mod tracks;

use axum::Router;
use axum::routing::get;

use crate::api::App;

/// The dashboard's pages and files.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/", get(list::page))
        .route("/part", get(list::part))
        .route("/rollouts/{id}", get(rollout::page))
        .route("/rollouts/{id}/part", get(rollout::part))
        .route("/assets/style.css", get(assets::style))
        .route("/assets/live.js", get(assets::live))
        .with_state(app)
}
