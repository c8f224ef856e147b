//! Facts about traffic: what was counted in one window of time.

use serde::{Deserialize, Serialize};

use crate::units::Timestamp;

/// What one track did in a window: differences of raw counters, never rates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackCounts {
    /// Requests answered or failed; those whose client went away are not in here.
    pub requests: u64,
    /// Requests the version failed: 5xx, connection errors, timeouts, broken bodies.
    pub failures: u64,
    /// Requests whose client went away first (499). Nobody's fault; shown, never judged.
    pub client_gone: u64,
    /// For each latency limit of the plan, ascending: requests slower than it, or failed.
    pub slower_than: Vec<u64>,
    /// Latency to the first byte, sparse: (bucket of [`super::histogram`], requests).
    pub latency: Vec<(u16, u64)>,
}

/// What a metric source could tell about one track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// It was counted, possibly as zero.
    Counts(TrackCounts),
    /// It is not known, and why. Unknown is a value: it is never taken for zero.
    Missing(String),
}

/// One aligned window of a stage, as gathered. A verdict is made from these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// When the window began.
    pub from: Timestamp,
    /// When it ended.
    pub to: Timestamp,
    /// What the new release did.
    pub canary: Reading,
    /// What serves today did meanwhile; no requests at 100 %.
    pub stable: Reading,
}
