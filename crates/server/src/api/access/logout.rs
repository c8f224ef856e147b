//! `POST /logout`: the session ends, and so do its streams.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::guard::Caller;
use super::session::COOKIE;
use crate::api::app::App;

pub(super) async fn submit(State(app): State<App>, caller: Caller) -> impl IntoResponse {
    app.auth.close_session(&caller);
    let forget = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, forget)])
}
