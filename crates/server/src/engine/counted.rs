//! What a proxy counts, as far as the engine reads it.
//!
//! A proxy counts more for people who look at it directly: bytes, classes of status, the time to
//! the last byte. Only what evidence and figures are made of is told and kept here, so that a
//! report stays small.

use std::collections::BTreeMap;

use rollout::evidence::{TrackCounts, histogram, mirrored};
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
    /// Adds what another process of the same proxy has counted.
    pub fn add(&mut self, other: &Self) {
        for (service, releases) in &other.services {
            let own = self.services.entry(service.clone()).or_default();
            for (release, counts) in releases {
                add(own.entry(release.clone()).or_default(), counts);
            }
        }
    }

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

/// Adds `from` to `into`, field by field.
fn add(into: &mut TrackCounts, from: &TrackCounts) {
    into.requests += from.requests;
    into.failures += from.failures;
    into.client_gone += from.client_gone;
    into.shielded += from.shielded;
    into.testers = into.testers.plus(from.testers);
    into.segments = into.segments.plus(from.segments);
    mirrored::merge(&mut into.mirrored, from.mirrored.as_deref());
    into.slower_than.resize(into.slower_than.len().max(from.slower_than.len()), 0);
    for (sum, more) in into.slower_than.iter_mut().zip(&from.slower_than) {
        *sum += more;
    }
    histogram::merge(&mut into.latency, &from.latency);
}

#[cfg(test)]
mod tests {
    use rollout::evidence::{Apart, Mirrored};

    use super::*;

    #[test]
    fn what_two_processes_of_a_proxy_counted_is_summed_release_by_release() {
        let counts = |requests, slower_than: &[u64], latency: &[(u16, u64)]| TrackCounts {
            requests,
            failures: 1,
            client_gone: 2,
            shielded: 3,
            testers: Apart { requests: 4, failures: 1 },
            segments: Apart { requests: 6, failures: 2 },
            mirrored: Some(Box::new(Mirrored { sent: 7, compared: 5, ..Mirrored::default() })),
            slower_than: slower_than.to_vec(),
            latency: latency.to_vec(),
        };
        let one = |release: &str, counts: TrackCounts| Counted {
            instance: 7,
            services: [("shop".to_owned(), [(release.to_owned(), counts)].into())].into(),
        };
        let mut sum = one("shop-1", counts(10, &[1], &[(3, 4)]));
        sum.add(&one("shop-1", counts(5, &[2, 9], &[(3, 1), (5, 6)])));
        sum.add(&one("shop-2", counts(1, &[], &[])));
        let both = sum.of("shop", "shop-1").unwrap();
        assert_eq!((both.requests, both.failures, both.client_gone, both.shielded), (15, 2, 4, 6));
        assert_eq!(both.testers, Apart { requests: 8, failures: 2 });
        assert_eq!(both.segments, Apart { requests: 12, failures: 4 });
        let mirrored = both.mirrored.as_ref().unwrap();
        assert_eq!((mirrored.sent, mirrored.compared), (14, 10));
        assert_eq!((&*both.slower_than, &*both.latency), (&[3, 9][..], &[(3, 5), (5, 6)][..]));
        assert_eq!((sum.of("shop", "shop-2").unwrap().requests, sum.instance), (1, 7));
    }
}
