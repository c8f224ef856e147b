//! Who may ask, and how they prove it.
//!
//! Programs and the command line show the token; browsers trade it for a session once and
//! then show that. Whoever shows neither is told so and nothing else.

mod guard;
mod login;
mod logout;
mod origin;
mod session;
mod token;

use axum::Router;
use axum::routing::{get, post};

pub use guard::Auth;
pub use token::TokenError;

pub(crate) use guard::Caller;
pub(crate) use token::open as open_token;

pub(super) use guard::require;
pub(super) use session::COOKIE;

use super::app::App;

/// The pages that let a browser in and out.
pub(super) fn pages() -> Router<App> {
    Router::new()
        .route("/login", get(login::page).post(login::submit))
        .route("/logout", post(logout::submit))
}
