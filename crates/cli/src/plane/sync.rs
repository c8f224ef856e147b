//! The conversation with the controller: a report each second, at once after a trip.

use std::path::PathBuf;
use std::time::Duration;

use rollout::route::Snapshot;
use server::engine::{ProxyReport, ProxySync};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::sleep;
use traffic::{Proxy, TripReport};

use super::keep::Keep;
use crate::client::{Client, read_token};
use crate::exit::Failure;

/// How long to wait before a controller that did not answer is asked again.
const AGAIN: Duration = Duration::from_millis(500);

/// A proxy that a controller somewhere else tells what to serve.
pub(crate) struct Plane {
    proxy: Proxy,
    client: Client,
    token_file: PathBuf,
    name: String,
    keep: Keep,
    shut: broadcast::Receiver<TripReport>,
    /// What is to be served; `None` before anything was said.
    wanted: Option<Snapshot>,
    /// Gates shut that the controller has not answered to yet.
    untold: Vec<TripReport>,
    /// Gates shut that it has, in stretches of traffic that are not over.
    told: Vec<TripReport>,
    /// Why the last round failed; said once, not each time.
    failure: Option<String>,
}

impl Plane {
    pub(crate) fn new(
        proxy: Proxy,
        client: Client,
        token_file: PathBuf,
        name: String,
        keep: Keep,
    ) -> Self {
        let shut = proxy.trips();
        let (wanted, untold) = (keep.snapshot(), keep.trips());
        let (told, failure) = (Vec::new(), None);
        Self { proxy, client, token_file, name, keep, shut, wanted, untold, told, failure }
    }

    /// Serves what was kept, before anybody is asked.
    pub(crate) async fn resume(&mut self) {
        self.load_token();
        if let Err(why) = self.settle().await {
            self.failed(why);
        }
        if let Some(kept) = &self.wanted {
            let generation = kept.generation;
            tracing::info!(epoch = generation.epoch, seq = generation.seq, "serving what was kept");
        }
    }

    /// Reports and obeys, for ever. May be dropped at any moment.
    pub(crate) async fn run(&mut self) {
        loop {
            let report = self.report();
            let (client, pause) = (&self.client, self.failure.as_ref().map(|_| AGAIN));
            let exchange = async {
                sleep(pause.unwrap_or_default()).await;
                client.sync(&report).await
            };
            tokio::select! {
                biased;
                trip = self.shut.recv() => self.tripped(trip),
                answer = exchange => self.answered(answer).await,
            }
        }
    }

    fn report(&self) -> ProxyReport {
        ProxyReport {
            name: self.name.clone(),
            generation: self.proxy.generation(),
            counters: self.proxy.counters(),
            observed: self.proxy.observed(),
            trips: self.untold.clone(),
        }
    }

    /// The guard has shut a gate. The next round, which begins at once, tells the controller.
    fn tripped(&mut self, trip: Result<TripReport, RecvError>) {
        match trip {
            Ok(trip) => {
                tracing::warn!(service = trip.service, gate = trip.gate, "the guard shut the gate");
                self.untold.push(trip);
                self.keep_trips();
            }
            Err(missed) => tracing::error!(%missed, "trips of the guard went by unseen"),
        }
    }

    async fn answered(&mut self, answer: Result<ProxySync, Failure>) {
        let done = match answer {
            Ok(sync) => {
                // A trip that came meanwhile would have broken the exchange off: all were sent.
                self.told.append(&mut self.untold);
                self.take(sync.snapshot);
                self.settle().await
            }
            Err(failure) => {
                self.load_token();
                Err(failure.to_string())
            }
        };
        match done {
            Ok(()) if self.failure.take().is_some() => {
                tracing::info!("the controller answers, and what it says is served");
            }
            Ok(()) => {}
            Err(why) => self.failed(why),
        }
    }

    fn failed(&mut self, why: String) {
        if self.failure.as_ref() != Some(&why) {
            tracing::warn!(why, "serving on with what is served");
            self.failure = Some(why);
        }
    }

    /// Wants what the controller says, unless it was overtaken by what is wanted already.
    fn take(&mut self, snapshot: Snapshot) {
        let known = self.wanted.as_ref().map(|wanted| wanted.generation).unwrap_or_default();
        if snapshot.generation > known {
            self.wanted = Some(snapshot);
        }
    }

    /// Serves what is wanted, then keeps it.
    ///
    /// # Errors
    /// It cannot be served, and why; what was served before goes on.
    async fn settle(&mut self) -> Result<(), String> {
        let Some(wanted) = self.wanted.clone() else { return Ok(()) };
        if wanted.generation <= self.proxy.generation() {
            return Ok(());
        }
        let (proxy, snapshot) = (self.proxy.clone(), wanted.clone());
        let applied = tokio::task::spawn_blocking(move || proxy.apply(snapshot)).await;
        applied.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        self.forget_trips(&wanted);
        self.keep.save_snapshot(&wanted);
        Ok(())
    }

    /// Forgets gates whose stretch of traffic is over, and shuts the others: a proxy that was
    /// started anew serves the same stretch with an open gate.
    fn forget_trips(&mut self, snapshot: &Snapshot) {
        self.told.retain(|trip| is_open(snapshot, trip));
        for trip in self.told.iter().chain(&self.untold).filter(|trip| is_open(snapshot, trip)) {
            self.proxy.shut(&trip.service);
        }
        self.keep_trips();
    }

    fn keep_trips(&self) {
        let all: Vec<TripReport> = self.told.iter().chain(&self.untold).cloned().collect();
        self.keep.save_trips(&all);
    }

    /// The token may have come, or changed, since the last time.
    fn load_token(&mut self) {
        match read_token(&self.token_file) {
            Ok(token) => self.client.set_token(token),
            Err(failure) => tracing::warn!(%failure, "the token cannot be read"),
        }
    }
}

/// Whether `snapshot` still gives traffic to the stretch in which the gate was shut.
fn is_open(snapshot: &Snapshot, trip: &TripReport) -> bool {
    let service = snapshot.services.iter().find(|route| route.service == trip.service);
    let canary = service.and_then(|route| route.canary.as_ref());
    canary.is_some_and(|canary| canary.guard_key == trip.guard_key)
}
