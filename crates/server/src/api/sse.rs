//! What every stream of server-sent events has in common.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::Stream;

/// How often a stream without events carries a comment, so that nothing between takes it for
/// dead.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A stream as an answer.
pub(super) fn answer<S>(stream: S) -> Sse<impl Stream<Item = Result<Event, Infallible>>>
where
    S: Stream<Item = Event> + Send + 'static,
{
    let events = futures_util::StreamExt::map(stream, Ok);
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}
