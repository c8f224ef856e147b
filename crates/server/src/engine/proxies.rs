//! The proxies the engine steers: its own, and those that run as processes of their own.
//!
//! All are told the same snapshot; their counters are summed. A proxy that stops reporting is
//! not forgotten at once: until it is, what it counted is *unknown*, never zero.

mod tally;

use std::collections::BTreeMap;

use rollout::route::{Generation, Snapshot};
use rollout::units::{Millis, Weight};
use serde::{Deserialize, Serialize};
use traffic::{Applied, Observed, Proxy, TripReport, Withheld};
use utoipa::ToSchema;

use super::clock::{Clock, Mark};
use super::counted::Counted;
pub(super) use tally::Tally;

/// After so long without a report, what a proxy counted is unknown. Reports come each second.
const STALE_AFTER: Millis = Millis::from_secs(5);
/// After so long it is taken to be gone for good, and is no longer waited for.
const GONE_AFTER: Millis = Millis::from_secs(60);
/// What one that has signed off counted is remembered for so long: the longest window of traffic,
/// and that again.
const REMEMBERED: Millis = Millis::from_secs(60 * 60);

/// What a proxy process tells the controller.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProxyReport {
    /// The proxy's name, unique among the proxies of a controller.
    pub name: String,
    /// The generation it serves.
    #[schema(value_type = Object)]
    pub generation: Generation,
    /// What it has counted since it started. A proxy whose report was not taken leaves it out:
    /// it must be told what to serve whatever becomes of its counts.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub counted: Option<Counted>,
    /// What it observes right now.
    #[schema(value_type = Object)]
    pub observed: Observed,
    /// Gates its guard has shut since its last report that was answered.
    #[schema(value_type = Vec<Object>)]
    pub trips: Vec<TripReport>,
    /// It has stopped: this is all that it has counted, and nothing comes after it.
    #[serde(default)]
    pub leaving: bool,
}

/// What the controller answers.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProxySync {
    /// The newest snapshot.
    #[schema(value_type = Object)]
    pub snapshot: Snapshot,
}

/// Every proxy known.
pub(super) struct Proxies {
    embedded: Option<Proxy>,
    remote: BTreeMap<String, Remote>,
    clock: Clock,
    /// Since when proxies may report.
    began: Mark,
}

struct Remote {
    generation: Generation,
    observed: Observed,
    seen: Mark,
    /// It has signed off: what it told last is all there is.
    left: bool,
    /// What it told last of what it counts, and when.
    counted: Option<(Counted, Mark)>,
}

/// The name the embedded proxy goes by.
const EMBEDDED: &str = "embedded";

impl Proxies {
    /// Whether a proxy runs inside this process.
    pub(super) const fn has_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    pub(super) fn new(embedded: Option<Proxy>, clock: Clock) -> Self {
        Self { embedded, remote: BTreeMap::new(), clock, began: clock.mark() }
    }

    /// Takes in what a remote proxy tells.
    pub(super) fn report(&mut self, report: ProxyReport) {
        let ProxyReport { name, generation, observed, counted, trips: _, leaving: left } = report;
        let seen = self.clock.mark();
        let before = self.remote.remove(&name).and_then(|remote| remote.counted);
        let counted = counted.map(|counted| (counted, seen)).or(before);
        self.remote.insert(name, Remote { generation, observed, seen, left, counted });
    }

    /// Forgets proxies that have been silent for long.
    pub(super) fn forget_gone(&mut self) {
        self.remote.retain(|_, remote| {
            remote.seen.elapsed() < if remote.left { REMEMBERED } else { GONE_AFTER }
        });
    }

    /// Shuts the canary's gate at once where that needs no network. Remote proxies learn it
    /// with the next snapshot, which their long poll is waiting for.
    pub(super) fn shut(&self, service: &str) {
        if let Some(proxy) = &self.embedded {
            proxy.shut(service);
        }
    }

    /// Tells the embedded proxy what to serve; false when some service is not served as asked.
    pub(super) fn serve(&self, snapshot: &Snapshot) -> bool {
        let applied = self.embedded.as_ref().map(|proxy| proxy.apply(snapshot.clone()));
        !matches!(applied, Some(Ok(Applied::InForce(refused))) if !refused.is_empty())
    }

    /// What some proxy does not serve as asked, and why; `None` when all do.
    pub(super) fn refused(&self) -> Option<String> {
        let reasons = self.observed().into_iter().flat_map(|(name, observed)| {
            let whose =
                if name == EMBEDDED { "the proxy".to_owned() } else { format!("proxy {name}") };
            observed.refused.into_values().map(move |why| format!("{whose}: {why}"))
        });
        let reasons: Vec<String> = reasons.collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// Stops the embedded proxy, letting requests under way finish; false when there is none.
    pub(super) async fn stop_embedded(&mut self) -> bool {
        let Some(proxy) = self.embedded.take() else { return false };
        proxy.stop().await;
        true
    }

    /// What all of them have counted until now.
    pub(super) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        if let Some(proxy) = &self.embedded {
            tally.samples.insert(EMBEDDED.to_owned(), proxy.counters().into());
        }
        for (name, remote) in &self.remote {
            if let Some(why) = remote.unknown(name) {
                tally.unknown = Some(why);
            }
            if remote.left {
                tally.over.insert(name.clone());
            }
            if let Some((counted, _)) = &remote.counted {
                tally.samples.insert(name.clone(), counted.clone());
            }
        }
        if self.embedded.is_none() && self.remote.values().all(|remote| remote.left) {
            tally.unknown = Some("no proxy is connected".to_owned());
        }
        tally
    }

    /// What each proxy observes, by its name; stale ones are left out.
    pub(super) fn observed(&self) -> Vec<(String, Observed)> {
        let own = self.embedded.iter().map(|proxy| (EMBEDDED.to_owned(), proxy.observed()));
        let others = self
            .remote
            .iter()
            .filter(|(_, remote)| !remote.left && remote.seen.elapsed() <= STALE_AFTER)
            .map(|(name, remote)| (name.clone(), remote.observed.clone()));
        own.chain(others).collect()
    }

    /// Whether every proxy known serves `generation` or a newer one. Right after a start those
    /// that run on their own have not had the time to say.
    pub(super) fn all_serve(&self, generation: Generation) -> bool {
        let heard = self.embedded.is_some() || self.began.elapsed() > STALE_AFTER;
        heard && self.remote.values().all(|remote| remote.left || remote.generation >= generation)
    }

    /// Requests under way on a release, over all proxies.
    pub(super) fn in_flight(&self, release: &str) -> u64 {
        self.observed().iter().map(|(_, observed)| in_flight_in(observed, release)).sum()
    }

    /// The largest canary weight any proxy has in force, and why one of them withholds it.
    pub(super) fn in_force(&self, service: &str) -> (Option<Weight>, Option<String>) {
        let mut largest = None;
        let mut withheld = None;
        for (_, observed) in self.observed() {
            if let Some(seen) = observed.services.get(service) {
                largest = largest.max(Some(seen.weight_in_force));
                withheld = withheld.or_else(|| seen.withheld.as_ref().map(withheld_reads));
            }
        }
        (largest, withheld)
    }
}

impl Remote {
    /// Why it is not known what it counts.
    fn unknown(&self, name: &str) -> Option<String> {
        if self.left {
            // What it counted last came with its sign-off, unless it could not be told.
            let told = self.counted.is_some();
            return (!told).then(|| format!("proxy {name} left without telling what it counted"));
        }
        let silent = self.seen.elapsed();
        if silent > STALE_AFTER {
            return Some(format!("proxy {name} has not reported for {silent}"));
        }
        match &self.counted {
            Some((_, told)) if told.elapsed() <= STALE_AFTER => None,
            Some((_, told)) => {
                Some(format!("proxy {name} has not told what it counts for {}", told.elapsed()))
            }
            None => Some(format!("proxy {name} has not told what it counts")),
        }
    }
}

fn in_flight_in(observed: &Observed, release: &str) -> u64 {
    observed.services.values().filter_map(|service| service.in_flight.get(release)).sum()
}

fn withheld_reads(withheld: &Withheld) -> String {
    match withheld {
        Withheld::Tripped { .. } => "the gate is shut".to_owned(),
        Withheld::NoHealthyUpstream => "the canary does not answer its health checks".to_owned(),
        Withheld::LostController => "a proxy has not heard of the controller for long".to_owned(),
    }
}

#[cfg(test)]
mod tests;
