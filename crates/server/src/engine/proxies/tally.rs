//! What all proxies together have counted at one moment, and the difference between two.

use std::collections::{BTreeMap, BTreeSet};

use rollout::evidence::{Mirrored, TrackCounts, mirrored};

use super::Counted;

/// What all proxies together have counted at one moment.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Tally {
    /// By the proxy's name.
    pub(in crate::engine) samples: BTreeMap<String, Counted>,
    /// Those of them that have signed off: nothing is counted there any more.
    pub(super) over: BTreeSet<String>,
    /// Why the sum is not to be trusted.
    pub(in crate::engine) unknown: Option<String>,
}

impl Tally {
    /// Why the difference to `earlier` is not to be trusted: a proxy was silent at either end,
    /// came, went, or started again in between. One that comes may have counted for days
    /// before, and what one that went had counted last is nowhere.
    pub(in crate::engine) fn unknown_since(&self, earlier: &Self) -> Option<String> {
        let silent = self.unknown.as_ref().or(earlier.unknown.as_ref()).cloned();
        silent
            .or_else(|| {
                let left = earlier.samples.keys().find(|name| {
                    !self.samples.contains_key(*name) && !earlier.over.contains(*name)
                });
                left.map(|name| format!("proxy {name} has gone"))
            })
            .or_else(|| {
                let fresh = |name: &String| self.before(earlier, name).is_none();
                let came = self.samples.keys().find(|name| fresh(name));
                came.map(|name| format!("proxy {name} has just connected"))
            })
    }

    /// What the same run of a proxy had counted at `earlier`.
    fn before<'a>(&self, earlier: &'a Self, name: &str) -> Option<&'a Counted> {
        let before = earlier.samples.get(name)?;
        let same = self.samples.get(name)?.instance == before.instance;
        same.then_some(before)
    }

    /// What `release` did between `earlier` and this tally, over the proxies that ran at both.
    pub(in crate::engine) fn since(
        &self,
        earlier: &Self,
        service: &str,
        release: &str,
    ) -> TrackCounts {
        let mut sum = TrackCounts::default();
        for (name, sample) in &self.samples {
            let Some(before) = self.before(earlier, name) else { continue };
            let Some(now) = sample.of(service, release) else { continue };
            add_difference(&mut sum, now, before.of(service, release));
        }
        sum
    }
}

/// Adds `now - before` to `sum`, field by field.
fn add_difference(sum: &mut TrackCounts, now: &TrackCounts, before: Option<&TrackCounts>) {
    let zero = TrackCounts::default();
    let before = before.unwrap_or(&zero);
    sum.requests += now.requests.saturating_sub(before.requests);
    sum.failures += now.failures.saturating_sub(before.failures);
    sum.client_gone += now.client_gone.saturating_sub(before.client_gone);
    sum.shielded += now.shielded.saturating_sub(before.shielded);
    sum.testers = sum.testers.plus(now.testers.since(before.testers));
    sum.segments = sum.segments.plus(now.segments.since(before.segments));
    let copies = now.mirrored.as_ref().map(|now| match &before.mirrored {
        Some(before) => now.since(before),
        None => Mirrored::clone(now),
    });
    let copies = copies.filter(|copies| !copies.is_none());
    mirrored::merge(&mut sum.mirrored, copies.as_ref());
    sum.slower_than.resize(sum.slower_than.len().max(now.slower_than.len()), 0);
    for (index, slot) in sum.slower_than.iter_mut().enumerate() {
        let at = |counts: &TrackCounts| counts.slower_than.get(index).copied().unwrap_or(0);
        *slot += at(now).saturating_sub(at(before));
    }
    let earlier: BTreeMap<u16, u64> = before.latency.iter().copied().collect();
    let fresh: Vec<(u16, u64)> = now
        .latency
        .iter()
        .map(|(bucket, count)| {
            (*bucket, count.saturating_sub(earlier.get(bucket).copied().unwrap_or(0)))
        })
        .filter(|(_, count)| *count > 0)
        .collect();
    rollout::evidence::histogram::merge(&mut sum.latency, &fresh);
}
