//! The HTTP API: how programs, the command line and the dashboard ask the engine.
//!
//! One file per operation, with its type, behaviour and documentation together, in a folder per
//! noun. What a request meets, in order:
//!
//! ```text
//! headers      what every answer carries: no framing, no inline script, no caching
//! access       a bearer token, or a session of the dashboard; without either, nothing
//! extract      the body, at most 1 MiB (a proxy's report 32), and the query, refused with what was read
//! operation    asks the engine
//! errors       one shape for everything that is refused
//! ```
//!
//! Deliberately absent: CORS (no other origin may read an answer), a GET that changes anything,
//! and authorization (there is one token; the core's command handler is where roles will be).

mod access;
mod app;
mod changes;
mod errors;
mod extract;
mod headers;
mod health;
mod openapi;
mod proxies;
mod rollouts;
mod sse;
mod weights;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use utoipa_axum::router::OpenApiRouter;

pub use access::{Auth, TokenError};
pub use app::{App, Stopping};
pub use errors::{ErrorBody, ErrorView, FindingView};
pub use rollouts::{Because, CreateRollout, Created, Promotion};

pub(crate) use access::open_token;

/// The largest body a request may have where its operation does not say otherwise, in bytes.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// Everything the server answers to: the API, the login and the dashboard.
pub fn router(app: App) -> Router {
    let (api, document) = described().split_for_parts();
    let all = api
        .merge(openapi::router(document))
        .merge(access::pages())
        .fallback(errors::no_such_route)
        .method_not_allowed_fallback(errors::no_such_method)
        .with_state(app.clone())
        .merge(crate::dashboard::router(app.clone()));
    all.layer(from_fn_with_state(app, access::require))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn(headers::secure))
}

/// The operations with their descriptions.
fn described() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::document())
        .merge(health::routes())
        .merge(rollouts::routes())
        .merge(weights::routes())
        .merge(proxies::routes())
        .merge(changes::routes())
}
