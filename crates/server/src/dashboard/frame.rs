//! What every page has around it.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use crate::engine::EngineError;

/// A page called `title`. `live` is what changes by itself: it is fetched anew from `part`
/// whenever `stream` tells of a change.
pub(super) fn page(title: &str, stream: &str, part: &str, live: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Sluice" }
                link rel="stylesheet" href="/assets/style.css";
                link rel="icon" href="data:,";
                script type="module" src="/assets/live.js" {}
            }
            body {
                header.top {
                    a href="/" { "Sluice" }
                    span #connection role="status" aria-live="polite" { "" }
                }
                main {
                    // What became of the last action, until the next one.
                    div #told role="status" {}
                    div #live data-stream=(stream) data-part=(part) { (live) }
                }
                noscript { p { "Without JavaScript this page shows one moment; reload it for the next." } }
            }
        }
    }
}

/// A page that says what is wrong.
pub(super) fn failed(error: &EngineError) -> Response {
    let status = match error {
        EngineError::Unknown(_) => StatusCode::NOT_FOUND,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let text = html! {
        h1 { "Nothing to show" }
        p role="alert" { (error) }
        p { a href="/" { "All rollouts" } }
    };
    (status, Html(page("Nothing to show", "", "", &text).into_string())).into_response()
}
