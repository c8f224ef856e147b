//! The process from before, while it finishes what is under way there.

use std::sync::{Arc, Mutex, PoisonError};

use rollout::route::Snapshot;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use traffic::TripReport;

use super::frame::{receive, send};
use super::{FromNew, FromOld, Still};

/// The process that was taken over from.
#[derive(Debug)]
pub(crate) struct Before {
    still: Arc<Mutex<Still>>,
    trips: mpsc::UnboundedReceiver<TripReport>,
    orders: mpsc::UnboundedSender<FromNew>,
}

impl Before {
    pub(super) fn new(stream: UnixStream, still: Still) -> Self {
        let (hear, tell) = stream.into_split();
        let (orders, taken) = mpsc::unbounded_channel();
        let (tripping, trips) = mpsc::unbounded_channel();
        let still = Arc::new(Mutex::new(still));
        tokio::spawn(obey(tell, taken));
        tokio::spawn(listen(hear, Arc::clone(&still), tripping));
        Self { still, trips, orders }
    }

    /// What it, and those before it, have counted by now.
    pub(crate) fn still(&self) -> Still {
        lock(&self.still).clone()
    }

    /// The next gate that its guard has shut; waits for ever once it has ended.
    pub(crate) async fn tripped(&mut self) -> TripReport {
        match self.trips.recv().await {
            Some(trip) => trip,
            None => std::future::pending().await,
        }
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.trips.is_closed() && self.trips.is_empty()
    }

    /// Tells it what is to be served from now on.
    pub(crate) fn serve(&self, snapshot: &Snapshot) {
        self.order(FromNew::Snapshot(Box::new(snapshot.clone())));
    }

    /// Tells it that the canary of a service is shut out.
    pub(crate) fn shut(&self, service: &str) {
        self.order(FromNew::Shut(service.to_owned()));
    }

    fn order(&self, order: FromNew) {
        // One that has ended needs no orders.
        let _ = self.orders.send(order);
    }
}

async fn obey(mut tell: OwnedWriteHalf, mut orders: mpsc::UnboundedReceiver<FromNew>) {
    while let Some(order) = orders.recv().await {
        if send(&mut tell, &order).await.is_err() {
            return;
        }
    }
}

/// Hears it until it ends. Where it breaks off, what it said last stands.
async fn listen(
    mut hear: OwnedReadHalf,
    known: Arc<Mutex<Still>>,
    trips: mpsc::UnboundedSender<TripReport>,
) {
    loop {
        match receive(&mut hear).await {
            Ok(FromOld::Still(still)) => *lock(&known) = *still,
            Ok(FromOld::Gone(still)) => {
                *lock(&known) = *still;
                return tracing::info!("the process from before has finished");
            }
            Ok(FromOld::Tripped(trip)) => drop(trips.send(*trip)),
            Ok(FromOld::Will { .. } | FromOld::No(_) | FromOld::Yours(_)) => {}
            Err(error) => {
                lock(&known).observed.services.clear();
                return tracing::warn!(%error, "the process from before broke off");
            }
        }
    }
}

fn lock(still: &Mutex<Still>) -> std::sync::MutexGuard<'_, Still> {
    still.lock().unwrap_or_else(PoisonError::into_inner)
}
