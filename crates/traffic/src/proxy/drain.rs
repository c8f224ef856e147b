//! Letting go: of upstreams whose release left, and of everything at the end.

use std::rc::Rc;
use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::listen::Worker;
use super::upstream::Upstream;

/// One thread's part of letting upstreams go: idle connections are closed at once, requests
/// in flight have until `cut_at`.
pub(crate) async fn leave(worker: Rc<Worker>, upstreams: Vec<Arc<Upstream>>, cut_at: Instant) {
    for upstream in &upstreams {
        worker.pools.forget_idle(upstream);
        worker.lean.forget_idle(upstream);
    }
    sleep_until(cut_at).await;
    for upstream in &upstreams {
        upstream.cut();
        worker.pools.end(upstream);
        worker.lean.end(upstream);
    }
}
