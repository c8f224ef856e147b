//! `GET /api/openapi.json`: what the API can be asked, for programs that make clients.

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, OpenApi};
use utoipa::{Modify, OpenApi as _};

use super::access::COOKIE;
use super::app::App;

/// The document without its operations.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Sluice",
        description = "Progressive delivery: rollouts, what they decided, and why."
    ),
    security(("token" = []), ("session" = [])),
    modifiers(&Schemes)
)]
struct Document;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_with(Components::new);
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(token));
        let session = ApiKey::Cookie(ApiKeyValue::new(COOKIE));
        components.add_security_scheme("session", SecurityScheme::ApiKey(session));
    }
}

/// The document before any operation is added.
pub(super) fn document() -> OpenApi {
    Document::openapi()
}

/// Serves the document, once every operation is in it.
pub(super) fn router(document: OpenApi) -> Router<App> {
    let document = Arc::new(document);
    Router::new().route("/api/openapi.json", get(async move || Json(document.as_ref().clone())))
}
