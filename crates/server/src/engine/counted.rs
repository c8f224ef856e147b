//! What a proxy counts, as far as the engine reads it.
//!
//! A proxy counts more for people who look at it directly: bytes, classes of status, the time to
//! the last byte. Only what evidence and figures are made of is told and kept here, so that a
//! report stays small.

use std::collections::BTreeMap;

use rollout::evidence::TrackCounts;
use serde::{Deserialize, Serialize};
use traffic::Counters;

/// What a proxy has counted since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Differs each time the proxy starts: differences are never taken across a restart.
    pub instance: u64,
    /// By service name, then by release id.
    pub services: BTreeMap<String, BTreeMap<String, TrackCounts>>,
}

impl Counted {
    /// What was counted for a release of a service; `None` for one the proxy does not know.
    pub(super) fn of(&self, service: &str, release: &str) -> Option<&TrackCounts> {
        self.services.get(service)?.get(release)
    }
}

impl From<Counters> for Counted {
    fn from(counters: Counters) -> Self {
        let services = counters.services.into_iter().map(|(name, service)| {
            let releases = service.releases.into_iter();
            (name, releases.map(|(release, found)| (release, found.counts)).collect())
        });
        Self { instance: counters.instance, services: services.collect() }
    }
}
