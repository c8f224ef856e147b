//! The limit on a whole request, from its head to the last byte of its answer.
//!
//! Whose fault it is when it passes: the version's, when it is the one waited for and the client
//! has taken less than half of the time, with its upload and with taking the answer. A client that
//! is slow has its request ended as well, and nothing is counted.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, timeout_at};

use super::body::is_past;
use super::upload::Progress;

/// When one request has to be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Total {
    pub by: Instant,
    limit: Duration,
}

impl Total {
    /// Of a request whose head came at `began`.
    pub(crate) fn of(limit: Option<Duration>, began: std::time::Instant) -> Option<Self> {
        let limit = limit?;
        Some(Self { by: Instant::from_std(began).checked_add(limit)?, limit })
    }

    /// Follows the answer, before which the client has sent `upload`.
    pub(crate) fn watch(self, upload: Option<&Progress>) -> Watch {
        let began = self.by.checked_sub(self.limit);
        let took = upload.and_then(Progress::done).zip(began);
        let client = took.map_or(Duration::ZERO, |(done, began)| done.duration_since(began));
        Watch { total: self, client, handed: None, timer: None }
    }
}

/// What `work` comes to; `None` when there is a limit and it passes first.
pub(crate) async fn in_time<T>(
    total: Option<Total>,
    work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    match total {
        Some(total) => timeout_at(total.by, work).await.ok(),
        None => Some(work.await),
    }
}

/// The answer to one request, while it passes.
#[derive(Debug)]
pub(crate) struct Watch {
    total: Total,
    /// How long the client has been waited for.
    client: Duration,
    /// When it was handed a piece that it has not taken.
    handed: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Watch {
    /// When the request has to be over.
    pub(crate) const fn by(&self) -> Instant {
        self.total.by
    }

    /// A piece goes to the client.
    pub(crate) fn handed(&mut self) {
        self.handed = Some(Instant::now());
    }

    /// The client asks for the next.
    pub(crate) fn asked(&mut self) {
        let waited = self.handed.take().map(|handed| handed.elapsed());
        self.client = self.client.saturating_add(waited.unwrap_or_default());
    }

    /// Whether the time is over; else makes sure of being woken by then.
    pub(crate) fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let by = self.total.by;
        is_past(&mut self.timer, || Some(by), cx)
    }

    /// Whether it was the client that took so long.
    pub(crate) fn is_the_clients(&self, upload: Option<&Progress>) -> bool {
        let uploading = upload.is_some_and(|upload| !upload.is_done() && upload.is_starved());
        uploading || self.client.saturating_mul(2) >= self.total.limit
    }
}
