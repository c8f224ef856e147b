//! One shape for everything that is refused.

use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rollout::plan::{Finding, Severity};
use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};

use crate::engine::EngineError;

/// What the API answers when it does not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorView,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorView {
    /// A stable name for programs, in kebab-case.
    pub code: String,
    /// For people: what was read, and what is allowed.
    pub message: String,
    /// What is wrong with the plan, where the plan is what is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<FindingView>,
}

/// One thing found in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FindingView {
    /// Names the kind of finding; stable, in kebab-case.
    pub code: String,
    /// `error`: the plan is refused. `warning`: it is taken, and somebody should look.
    pub severity: String,
    /// Where in the plan, `stages[1].gates.p99`; empty for the whole plan.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The first byte in the text.
    pub offset: usize,
    /// How many bytes are meant.
    pub length: usize,
    /// What was read and what is allowed.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl From<Finding> for FindingView {
    fn from(finding: Finding) -> Self {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        Self {
            code: finding.code.to_owned(),
            severity: severity.to_owned(),
            path: finding.path,
            line: finding.line,
            column: finding.column,
            offset: finding.offset,
            length: finding.length,
            message: finding.message,
            help: finding.help,
        }
    }
}

/// A refusal on its way to whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    view: ErrorView,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let view =
            ErrorView { code: code.to_owned(), message: message.into(), findings: Vec::new() };
        Self { status, view }
    }

    /// The request itself is wrong.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    /// What the request names does not exist.
    pub(crate) fn unknown(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown", message)
    }

    /// Nobody has shown who they are.
    pub(crate) fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", message)
    }

    /// Somebody is known, and the request may come from elsewhere.
    pub(crate) fn cross_site(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "cross-site", message)
    }

    /// The answer's status.
    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        match error {
            EngineError::Plan(findings) => {
                let mut refused = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "plan", message);
                refused.view.findings = findings.into_iter().map(FindingView::from).collect();
                refused
            }
            EngineError::Refused(refusal) => Self::new(StatusCode::CONFLICT, refusal.code, message),
            EngineError::Unknown(_) => Self::unknown(message),
            EngineError::Invalid(_) => Self::invalid(message),
            EngineError::Log(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "log", message),
            EngineError::Stopped => Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopped", message),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(ErrorBody { error: self.view })).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// What any operation that reads may answer instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "a description; the answers are made from ApiError")]
pub(super) enum ReadErrors {
    /// The request itself is wrong.
    #[response(status = 400)]
    Invalid(ErrorBody),
    /// No token, a wrong one, or no session.
    #[response(status = 401)]
    Unauthenticated(ErrorBody),
    /// What the request names does not exist.
    #[response(status = 404)]
    Unknown(ErrorBody),
    /// The log cannot be read, or the engine has stopped.
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

/// What any operation that changes something may answer instead.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "a description; the answers are made from ApiError")]
pub(super) enum ChangeErrors {
    /// The request itself is wrong.
    #[response(status = 400)]
    Invalid(ErrorBody),
    /// No token, a wrong one, or no session.
    #[response(status = 401)]
    Unauthenticated(ErrorBody),
    /// A session was shown, and the request may come from another site.
    #[response(status = 403)]
    CrossSite(ErrorBody),
    /// What the request names does not exist.
    #[response(status = 404)]
    Unknown(ErrorBody),
    /// Understood, and not allowed now.
    #[response(status = 409)]
    Refused(ErrorBody),
    /// It could not be written down, so it was not done; or the engine has stopped.
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

/// The answer where there is no route.
pub(super) async fn no_such_route(uri: Uri) -> ApiError {
    ApiError::unknown(format!("there is no {}; /api/openapi.json lists what there is", uri.path()))
}

/// The answer where there is a route, and not for this method.
pub(super) async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollout::machine::Refusal;

    #[test]
    fn each_kind_of_refusal_has_its_status_and_its_code() {
        let refusal = Refusal { code: "above-stage", message: "too much".to_owned() };
        let shown: Vec<(u16, String, String)> = [
            EngineError::Plan(Vec::new()),
            EngineError::Refused(refusal),
            EngineError::Unknown("shop-1".to_owned()),
            EngineError::Invalid("read x; allowed: y".to_owned()),
            EngineError::Log("disk full".to_owned()),
            EngineError::Stopped,
        ]
        .into_iter()
        .map(|error| {
            let ApiError { status, view } = ApiError::from(error);
            (status.as_u16(), view.code, view.message)
        })
        .collect();
        let said =
            |status, code: &str, message: &str| (status, code.to_owned(), message.to_owned());
        assert_eq!(
            shown,
            [
                said(422, "plan", "the plan has errors"),
                said(409, "above-stage", "too much"),
                said(404, "unknown", "there is no rollout \"shop-1\""),
                said(400, "invalid", "read x; allowed: y"),
                said(503, "log", "the log cannot be written: disk full"),
                said(503, "stopped", "the engine has stopped"),
            ]
        );
    }

    #[test]
    fn an_error_without_findings_does_not_speak_of_them() {
        let body = ErrorBody { error: ApiError::invalid("read x; allowed: y").view };
        let text = serde_json::to_string(&body).unwrap();
        assert_eq!(text, r#"{"error":{"code":"invalid","message":"read x; allowed: y"}}"#);
        assert_eq!(serde_json::from_str::<ErrorBody>(&text).unwrap(), body);
    }
}
