//! What a stage amounted to: the figures of the report.

use serde::{Deserialize, Serialize};

use super::event::GateVerdict;
use crate::evidence::{Apart, Mirrored, Reading, TrackCounts, histogram, mirrored};
use crate::units::{Millis, Timestamp, Weight};

/// One stage, or the bake, from its start to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// The stage's name; `bake` for the bake.
    pub name: String,
    /// Who could meet the canary.
    pub weight: Weight,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` while it lasts.
    pub ended_at: Option<Timestamp>,
    /// What the canary did.
    pub canary: TrackTotals,
    /// What stable did meanwhile.
    pub stable: TrackTotals,
    /// What the gates said when it ended, or say now.
    pub verdicts: Vec<GateVerdict>,
    /// Time counted in which the canary had traffic.
    pub observed: Millis,
    /// Time counted of which nothing is known of the canary: its source was missing.
    pub unknown: Millis,
    /// Time counted of which nothing is known of stable.
    pub stable_unknown: Millis,
}

/// Sums over a stage for one track.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackTotals {
    /// Requests answered or failed.
    pub requests: u64,
    /// Requests the version failed.
    pub failures: u64,
    /// Requests whose client went away first.
    pub client_gone: u64,
    /// Failures that stable answered in its place.
    #[serde(default)]
    pub shielded: u64,
    /// What testers met: in none of the other counts.
    #[serde(default, skip_serializing_if = "Apart::is_none")]
    pub testers: Apart,
    /// What those met who are on one side by their segment: likewise.
    #[serde(default, skip_serializing_if = "Apart::is_none")]
    pub segments: Apart,
    /// What became of copies of requests that stable answered: likewise. `None` without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirrored: Option<Box<Mirrored>>,
    /// Latency to the first byte, sparse, in buckets of [`histogram`].
    pub latency: Vec<(u16, u64)>,
}

impl TrackTotals {
    const fn none() -> Self {
        Self {
            requests: 0,
            failures: 0,
            client_gone: 0,
            shielded: 0,
            testers: Apart::NONE,
            segments: Apart::NONE,
            mirrored: None,
            latency: Vec::new(),
        }
    }

    /// Failures per request, 0..1; `None` without requests.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio for people; counts stay far below 2^53"
    )]
    pub fn error_rate(&self) -> Option<f64> {
        (self.requests > 0).then(|| self.failures as f64 / self.requests as f64)
    }

    /// The latency in microseconds that a share `quantile` (0..1) of requests stayed under;
    /// within 1 %. `None` without requests.
    pub fn quantile_us(&self, quantile: f64) -> Option<u64> {
        histogram::quantile_us(&self.latency, quantile)
    }

    fn add(&mut self, counts: &TrackCounts) {
        self.requests = self.requests.saturating_add(counts.requests);
        self.failures = self.failures.saturating_add(counts.failures);
        self.client_gone = self.client_gone.saturating_add(counts.client_gone);
        self.shielded = self.shielded.saturating_add(counts.shielded);
        self.testers = self.testers.plus(counts.testers);
        self.segments = self.segments.plus(counts.segments);
        mirrored::merge(&mut self.mirrored, counts.mirrored.as_deref());
        histogram::merge(&mut self.latency, &counts.latency);
    }
}

impl StageRecord {
    pub(super) const fn begin(name: String, weight: Weight, at: Timestamp) -> Self {
        Self {
            name,
            weight,
            started_at: at,
            ended_at: None,
            canary: TrackTotals::none(),
            stable: TrackTotals::none(),
            verdicts: Vec::new(),
            observed: Millis::ZERO,
            unknown: Millis::ZERO,
            stable_unknown: Millis::ZERO,
        }
    }

    pub(super) fn add(&mut self, canary: &Reading, stable: &Reading, length: Millis) {
        match canary {
            Reading::Counts(counts) => {
                self.canary.add(counts);
                if met(self.weight, counts) > 0 {
                    self.observed = self.observed.plus(length);
                }
            }
            Reading::Missing(_) => self.unknown = self.unknown.plus(length),
        }
        match stable {
            Reading::Counts(counts) => self.stable.add(counts),
            Reading::Missing(_) => self.stable_unknown = self.stable_unknown.plus(length),
        }
    }
}

/// What a stage of this weight is about: the canary's requests, or where it has none to answer,
/// the copies that could be compared.
pub(super) fn met(weight: Weight, counts: &TrackCounts) -> u64 {
    let copies = || counts.mirrored.as_ref().map_or(0, |mirrored| mirrored.compared);
    if weight.is_zero() { copies() } else { counts.requests }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(requests: u64) -> Reading {
        Reading::Counts(TrackCounts { requests, ..TrackCounts::default() })
    }

    #[test]
    fn time_is_observed_unknown_or_without_traffic() {
        let mut record = StageRecord::begin("canary".to_owned(), Weight::percent(1), Timestamp(0));
        let missing = Reading::Missing("no proxy is connected".to_owned());
        record.add(&counts(5), &counts(95), Millis(10));
        record.add(&counts(0), &counts(100), Millis(200));
        record.add(&missing, &missing, Millis(3_000));
        record.add(&counts(1), &missing, Millis(40_000));
        assert_eq!(record.observed, Millis(40_010));
        assert_eq!(record.unknown, Millis(3_000));
        assert_eq!(record.stable_unknown, Millis(43_000));
        assert_eq!((record.canary.requests, record.stable.requests), (6, 195));
    }

    #[test]
    fn where_nobody_meets_the_canary_time_with_copies_is_observed() {
        let mut record = StageRecord::begin("shadow".to_owned(), Weight::ZERO, Timestamp(0));
        let mirrored = Mirrored { sent: 3, compared: 2, ..Mirrored::default() };
        let mirrored = Some(Box::new(mirrored));
        let copies = TrackCounts { mirrored, ..TrackCounts::default() };
        record.add(&Reading::Counts(copies), &counts(95), Millis(10));
        record.add(&counts(7), &counts(95), Millis(200));
        assert_eq!(record.observed, Millis(10));
        assert_eq!(record.canary.mirrored.unwrap().compared, 2);
    }
}
