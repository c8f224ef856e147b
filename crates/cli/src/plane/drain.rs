//! The end of a process that was taken over from.

use std::pin::pin;
use std::time::Duration;

use tokio::time::interval;
use traffic::Observed;

use super::Plane;
use super::handover::{Said, Still, Successor, Will};

/// How often the process that took over is told what is counted here.
const TELL: Duration = Duration::from_millis(250);

impl Plane {
    /// What is handed over, besides the sockets.
    pub(crate) fn will(&self) -> Will {
        let Still { counted, observed } = self.still();
        Will {
            name: self.name.clone(),
            instance: counted.instance,
            snapshot: self.wanted.clone(),
            untold: self.untold.clone(),
            told: self.told.clone(),
            observed,
            lost: self.lost.has_fallen(),
        }
    }

    /// What this process and those before it count as one, and what is under way in them.
    pub(crate) fn still(&self) -> Still {
        let mut still =
            Still { counted: self.proxy.counters().into(), observed: self.proxy.observed() };
        if let Some(before) = self.before.as_ref().map(super::Before::still) {
            still.counted.add(&before.counted);
            add_in_flight(&mut still.observed, &before.observed);
        }
        if let Some(instance) = self.instance {
            (still.counted.instance, still.observed.instance) = (instance, instance);
        }
        still
    }

    /// Writes nothing down any more: that is the other's business.
    pub(crate) fn let_go(&mut self) {
        self.keep_last();
        self.keep.let_go();
    }

    /// Finishes what is under way, here and in those before, and tells the process that took
    /// over. Requests on open connections go where that one is told to send them.
    pub(crate) async fn drain(&mut self, mut successor: Successor) {
        for trip in self.told.iter().chain(&self.untold) {
            successor.tripped(trip.clone()).await;
        }
        let proxy = self.proxy.clone();
        let (mut ending, mut ended) = (pin!(proxy.hand_over()), false);
        let mut tell = interval(TELL);
        while !ended || self.before.as_ref().is_some_and(|before| !before.is_over()) {
            tokio::select! {
                biased;
                Ok(trip) = self.shut.recv() => {
                    self.tell_before(|before| before.shut(&trip.service));
                    successor.tripped(trip).await;
                }
                trip = super::sync::tripped_before(&mut self.before) => {
                    self.proxy.shut(&trip.service);
                    successor.tripped(trip).await;
                }
                said = successor.said() => self.obey(said).await,
                () = &mut ending, if !ended => ended = true,
                _ = tell.tick() => successor.still(self.still()).await,
            }
        }
        successor.gone(self.still()).await;
    }

    async fn obey(&mut self, said: Said) {
        match said {
            Said::Shut(service) => {
                self.proxy.shut(&service);
                self.tell_before(|before| before.shut(&service));
            }
            Said::Snapshot(snapshot) => {
                self.tell_before(|before| before.serve(&snapshot));
                let proxy = self.proxy.clone();
                // Names are looked up, which blocks. What cannot be served goes on as it is.
                let _ = tokio::task::spawn_blocking(move || proxy.apply(*snapshot)).await;
            }
        }
    }
}

/// Adds what is under way in another process.
fn add_in_flight(into: &mut Observed, from: &Observed) {
    for (name, service) in from.services.iter().filter(|(_, it)| !it.in_flight.is_empty()) {
        let own = into.services.entry(name.clone()).or_default();
        for (release, count) in &service.in_flight {
            *own.in_flight.entry(release.clone()).or_default() += count;
        }
    }
}
