//! The conversation with the controller: a report each second, at once after a trip.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use rollout::route::Snapshot;
use server::engine::{ProxyReport, ProxySync};
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};
use tokio::time::{sleep, timeout};
use traffic::{Applied, Proxy, Refused, TripReport};

use super::Before;
use super::handover::{Still, Will};
use super::keep::Keep;
use super::lost::Lost;
use crate::client::{Client, read_token};
use crate::exit::{Exit, Failure};

/// How long to wait before a controller that did not answer is asked again.
const AGAIN: Duration = Duration::from_millis(500);
/// How long a proxy that has stopped waits for the controller to hear of a gate it shut.
const LAST: Duration = Duration::from_secs(3);
/// After a report that made no sense to the controller, so many go without the counts, which are most of it. What is
/// to be served must reach the proxy whatever becomes of its counts.
const WITHOUT: u32 = 60;

/// A proxy that a controller somewhere else tells what to serve.
pub(crate) struct Plane {
    pub(super) proxy: Proxy,
    client: Client,
    token_file: PathBuf,
    pub(super) name: String,
    pub(super) keep: Keep,
    pub(super) shut: broadcast::Receiver<TripReport>,
    /// The process that was taken over from.
    pub(super) before: Option<Before>,
    /// What marks the counts as of one run, where the first process of it was another.
    pub(super) instance: Option<u64>,
    /// What is to be served; `None` before anything was said.
    pub(super) wanted: Option<Snapshot>,
    /// Gates shut that the controller has not answered to yet.
    pub(super) untold: Vec<TripReport>,
    /// Gates shut that it has, in stretches of traffic that are not over.
    pub(super) told: Vec<TripReport>,
    /// Why the last round failed; said once, not each time.
    failure: Option<String>,
    /// What is not served as asked; said once too.
    refused: Vec<String>,
    /// So many reports go without the counts.
    without: u32,
    pub(super) lost: Lost,
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
        let (told, failure, refused) = (Vec::new(), None, Vec::new());
        Self {
            proxy,
            client,
            token_file,
            name,
            keep,
            shut,
            before: None,
            instance: None,
            wanted,
            untold,
            told,
            failure,
            refused,
            without: 0,
            lost: Lost::after(None),
        }
    }

    /// The same, with the canary's share going to stable when no controller has answered for so
    /// long.
    pub(crate) fn with_lost_controller_ttl(mut self, ttl: Option<Duration>) -> Self {
        self.lost = Lost::after(ttl);
        self
    }

    /// Takes the place of a process that runs: what that one was told, and has seen.
    ///
    /// # Errors
    /// Something that is served there is not served here; which, and why.
    pub(crate) async fn take_over(&mut self, will: Will) -> Result<(), String> {
        let Will { name, instance, snapshot, untold, told, observed, lost } = will;
        (self.name, self.instance) = (name, Some(instance));
        (self.wanted, self.untold, self.told) = (snapshot, untold, told);
        self.resume().await;
        self.proxy.assume(&observed);
        if lost && self.lost.fall() {
            self.proxy.lose_controller(true);
        }
        let own = self.proxy.observed();
        let serves =
            |name: &String| own.services.get(name).is_some_and(|it| it.listening.is_some());
        let there = observed.services.iter().filter(|(_, it)| it.listening.is_some());
        let missing = there.map(|(name, _)| name).find(|name| !serves(name));
        missing.map_or(Ok(()), |name| {
            let why = own.refused.get(name).cloned().unwrap_or_default();
            Err(format!("service {name:?} cannot be served as it is: {why}"))
        })
    }

    /// The process from before accepts no more, and the state folder's lock is held.
    pub(crate) fn follow(&mut self, before: Before) {
        self.before = Some(before);
        self.hold();
    }

    /// The state folder's lock is held: what is served is kept from now on.
    pub(crate) fn hold(&mut self) {
        self.keep.hold();
        if let Some(wanted) = &self.wanted {
            self.keep.save_snapshot(wanted);
        }
        self.keep_trips();
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
    ///
    /// # Errors
    /// There is nothing to serve, and the controller lets nobody in with this token.
    pub(crate) async fn run(&mut self) -> Result<Infallible, Failure> {
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
                trip = tripped_before(&mut self.before) => self.tripped_there(trip),
                answer = exchange => {
                    match answer {
                        Err(Failure::Because(Exit::Refused, why)) if self.wanted.is_none() => {
                            self.refused_at_the_start(&why)?;
                        }
                        answer => self.answered(answer).await,
                    }
                }
                ttl = self.lost.falls() => {
                    tracing::warn!(?ttl, "no controller answers; canaries' shares go to stable");
                    self.proxy.lose_controller(true);
                }
            }
        }
    }

    /// The proxy has stopped: gates that were shut while it did are kept, for the next start.
    pub(crate) fn keep_last(&mut self) {
        loop {
            match self.shut.try_recv() {
                Ok(trip) => self.tripped(Ok(trip)),
                Err(TryRecvError::Lagged(missed)) => self.tripped(Err(RecvError::Lagged(missed))),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// Signs off at the controller, once, where it answers soon: with all that was counted, and
    /// the gates that are still untold.
    pub(crate) async fn tell_last(&mut self) {
        let report = ProxyReport { leaving: true, ..self.report() };
        let untold = self.untold.len();
        match timeout(LAST, self.client.sync(&report)).await {
            Ok(Ok(_)) => self.told.append(&mut self.untold),
            Ok(Err(failure)) => {
                tracing::warn!(%failure, untold, "the controller does not know that this proxy ends");
            }
            Err(_) => {
                tracing::warn!(untold, "the controller did not answer as this proxy ended");
            }
        }
    }

    fn report(&self) -> ProxyReport {
        let Still { counted, observed } = self.still();
        ProxyReport {
            name: self.name.clone(),
            generation: self.proxy.generation(),
            counted: (self.without == 0).then_some(counted),
            observed,
            trips: self.untold.clone(),
            leaving: false,
        }
    }

    /// The controller does not let this proxy in, and nothing is served. The token may have come
    /// since it was read: a controller that starts makes it.
    ///
    /// # Errors
    /// It has not.
    fn refused_at_the_start(&mut self, why: &str) -> Result<(), Failure> {
        let shown = self.client.token().map(ToOwned::to_owned);
        self.load_token();
        if self.client.token() == shown.as_deref() {
            return Err(nothing_to_serve(why));
        }
        Ok(())
    }

    /// Says something to the process that was taken over from, where one still runs.
    pub(super) fn tell_before(&self, say: impl FnOnce(&Before)) {
        if let Some(before) = &self.before {
            say(before);
        }
    }

    /// The guard of the process from before has shut a gate: it is shut here too.
    fn tripped_there(&mut self, trip: TripReport) {
        if self.told.contains(&trip) || self.untold.contains(&trip) {
            return;
        }
        if self.wanted.as_ref().is_some_and(|wanted| is_open(wanted, &trip)) {
            self.proxy.shut(&trip.service);
        }
        self.tripped(Ok(trip));
    }

    /// The guard has shut a gate. The next round, which begins at once, tells the controller.
    fn tripped(&mut self, trip: Result<TripReport, RecvError>) {
        match trip {
            Ok(trip) => {
                tracing::warn!(service = trip.service, gate = trip.gate, "the guard shut the gate");
                self.tell_before(|before| before.shut(&trip.service));
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
                self.without = self.without.saturating_sub(1);
                let taken = self.take(sync.snapshot);
                let settled = self.settle().await.and(taken);
                if self.lost.is_over() {
                    tracing::info!("a controller answers; canaries get their shares again");
                    self.proxy.lose_controller(false);
                }
                settled
            }
            Err(failure) => {
                self.leave_out(&failure);
                self.load_token();
                // What was kept may not have been servable yet: a port that was taken is free.
                self.settle().await.and(Err(failure.to_string()))
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

    /// The next report is one that can be taken. A controller that refuses a body may break the
    /// connection off, which is then all that is seen of its answer.
    fn leave_out(&mut self, failure: &Failure) {
        let rounds = match failure {
            Failure::Because(Exit::Usage, _) => WITHOUT,
            _ => 1,
        };
        self.without = self.without.max(rounds);
    }

    fn failed(&mut self, why: String) {
        if self.failure.as_ref() != Some(&why) {
            tracing::warn!(why, "serving on with what is served");
            self.failure = Some(why);
        }
    }

    /// Wants what the controller says, unless it was overtaken by what is wanted already.
    ///
    /// # Errors
    /// The controller is older than one that was obeyed before. (Epoch 0 is one that has only
    /// just started and has said nothing yet.)
    fn take(&mut self, snapshot: Snapshot) -> Result<(), String> {
        let known = self.wanted.as_ref().map(|wanted| wanted.generation).unwrap_or_default();
        let said = snapshot.generation;
        if said > known {
            self.wanted = Some(snapshot);
        }
        if said.epoch == 0 || said.epoch >= known.epoch {
            return Ok(());
        }
        Err(format!(
            "the controller is in epoch {}, what is served is of epoch {}: it works in another \
             state folder, or an older copy; to follow it, start with an empty --state",
            said.epoch, known.epoch
        ))
    }

    /// Serves what is wanted, then keeps it. What cannot be served keeps nothing from the rest;
    /// the controller learns of it with the next report.
    ///
    /// # Errors
    /// The proxy takes nothing any more.
    async fn settle(&mut self) -> Result<(), String> {
        let Some(wanted) = self.wanted.clone() else { return Ok(()) };
        let fresh = wanted.generation > self.proxy.generation();
        let (proxy, snapshot) = (self.proxy.clone(), wanted.clone());
        let applied = tokio::task::spawn_blocking(move || proxy.apply(snapshot)).await;
        let applied = applied.map_err(|error| error.to_string())?;
        let Applied::InForce(refused) = applied.map_err(|error| error.to_string())? else {
            return Ok(());
        };
        self.forget_trips(&wanted);
        if fresh {
            self.keep.save_snapshot(&wanted);
            self.tell_before(|before| before.serve(&wanted));
        }
        let refused: Vec<String> = refused.iter().map(Refused::to_string).collect();
        if self.refused != refused {
            for why in &refused {
                tracing::warn!(why, "not served as it should be");
            }
            self.refused = refused;
        }
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

/// The next gate that the guard of the process from before has shut.
pub(super) async fn tripped_before(before: &mut Option<Before>) -> TripReport {
    match before {
        Some(before) => before.tripped().await,
        None => std::future::pending().await,
    }
}

fn nothing_to_serve(why: &str) -> Failure {
    let message = format!("{why}; nothing was kept from before, so there is nothing to serve");
    Failure::Because(Exit::Refused, message)
}

/// Whether `snapshot` still gives traffic to the stretch in which the gate was shut.
fn is_open(snapshot: &Snapshot, trip: &TripReport) -> bool {
    let service = snapshot.services.iter().find(|route| route.service == trip.service);
    let canary = service.and_then(|route| route.canary.as_ref());
    canary.is_some_and(|canary| canary.guard_key == trip.guard_key)
}

#[cfg(test)]
mod tests;
