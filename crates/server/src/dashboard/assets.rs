//! The files the pages need, part of the binary.

use axum::http::header;
use axum::response::IntoResponse;

pub(super) async fn style() -> impl IntoResponse {
    file("text/css; charset=utf-8", include_str!("../../assets/style.css"))
}

pub(super) async fn live() -> impl IntoResponse {
    file("text/javascript; charset=utf-8", include_str!("../../assets/live.js"))
}

/// Not kept by the browser: a newer binary must never meet an older script.
fn file(kind: &'static str, content: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], content)
}
