//! gRPC says how a call went in `grpc-status`, whatever the HTTP status is.
//!
//! Counted as the version's failure, as a 5xx is: `UNKNOWN` (2), `DEADLINE_EXCEEDED` (4),
//! `INTERNAL` (13), `UNAVAILABLE` (14) and `DATA_LOSS` (15), see
//! <https://grpc.io/docs/guides/status-codes/>. The others say something of the request or of the
//! caller, as a 4xx does.

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const FAILURES: [&[u8]; 5] = [b"2", b"4", b"13", b"14", b"15"];

/// How its content types begin.
pub(crate) const KIND: &[u8] = b"application/grpc";

/// Whether a message with these headers is one of gRPC.
pub(crate) fn is_spoken(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(KIND))
}

/// Whether headers or trailers say that the version failed.
pub(crate) fn says_failed(fields: &HeaderMap) -> bool {
    fields.get(STATUS).is_some_and(|status| is_failure(status.as_bytes()))
}

/// Whether a status is one of the version's failures.
pub(crate) fn is_failure(status: &[u8]) -> bool {
    FAILURES.contains(&status)
}
