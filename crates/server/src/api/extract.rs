//! Bodies, queries and ids, refused in the API's own words.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use rollout::machine::RolloutId;
use serde::de::DeserializeOwned;

use super::BODY_LIMIT;
use super::errors::ApiError;

/// A request's body, JSON, of at most `LIMIT` bytes.
pub(super) struct Body<T, const LIMIT: usize = BODY_LIMIT>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync, const LIMIT: usize> FromRequest<S> for Body<T, LIMIT> {
    type Rejection = ApiError;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, ApiError> {
        DefaultBodyLimit::max(LIMIT).apply(&mut request);
        let read = Json::<T>::from_request(request, state).await;
        read.map(|Json(body)| Self(body)).map_err(|refused| refuse_body(&refused, LIMIT))
    }
}

/// A request's query.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let read = Query::<T>::from_request_parts(parts, state).await;
        read.map(|Query(query)| Self(query)).map_err(|refused| refuse_query(&refused))
    }
}

/// The rollout an address names, which need not exist.
pub(super) struct Id(pub(super) RolloutId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let read = Path::<RolloutId>::from_request_parts(parts, state).await;
        let refuse = |_| {
            ApiError::invalid(format!("{} names no rollout: it is not UTF-8", parts.uri.path()))
        };
        read.map(|Path(id)| Self(id)).map_err(refuse)
    }
}

fn refuse_body(refused: &JsonRejection, limit: usize) -> ApiError {
    match refused {
        JsonRejection::MissingJsonContentType(_) => ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media-type",
            "the body must be JSON, with `content-type: application/json`",
        ),
        refused if refused.status() == StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            format!("the body is larger than {limit} bytes"),
        ),
        refused => ApiError::invalid(format!("the body cannot be read: {}", source(refused))),
    }
}

fn refuse_query(refused: &QueryRejection) -> ApiError {
    ApiError::invalid(format!("the query cannot be read: {}", source(refused)))
}

/// The innermost cause: what was read and where, without what wraps it.
fn source(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
