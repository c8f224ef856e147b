//! Facts about traffic: what was counted in one window of time.

use serde::{Deserialize, Serialize};

use super::logs::real;
use super::mirrored::Mirrored;
use crate::route::Bad;
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
    /// Failures that stable answered in the version's place, so that no client saw them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shielded: u64,
    /// What testers met: shown, never judged, and in none of the other counts of requests.
    #[serde(default, skip_serializing_if = "Apart::is_none")]
    pub testers: Apart,
    /// What those met who are on one side by their segment: likewise.
    #[serde(default, skip_serializing_if = "Apart::is_none")]
    pub segments: Apart,
    /// Copies of requests that stable answered: likewise. `None` without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirrored: Option<Box<Mirrored>>,
    /// For each latency limit of the plan, ascending: requests slower than it, or failed.
    pub slower_than: Vec<u64>,
    /// Latency to the first byte, sparse: (bucket of [`super::histogram`], requests).
    pub latency: Vec<(u16, u64)>,
}

/// Requests that are counted apart from those a gate looks at: who is on a side by choice is no
/// random sample of the users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apart {
    /// Requests answered or failed.
    pub requests: u64,
    /// Requests the version failed.
    pub failures: u64,
}

impl Apart {
    /// Nothing.
    pub const NONE: Self = Self { requests: 0, failures: 0 };

    /// Whether nothing was counted.
    pub const fn is_none(&self) -> bool {
        self.requests == 0 && self.failures == 0
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            failures: self.failures.saturating_add(other.failures),
        }
    }

    /// What came since `before`; nothing where less is counted now.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(before.requests),
            failures: self.failures.saturating_sub(before.failures),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
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

/// So many bad requests of so many: what a gate looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Requests that count against the gate.
    pub bad: u64,
    /// All requests.
    pub total: u64,
}

impl Tally {
    /// The largest count a float holds exactly, 2^53.
    const LARGEST: f64 = 9_007_199_254_740_992.0;

    /// A tally from a source that speaks in floats, rounded to whole requests.
    ///
    /// # Errors
    /// A sentence on what is wrong: not a number, infinite, negative, above 2^53, or more bad
    /// requests than requests.
    pub fn from_f64(bad: f64, total: f64) -> Result<Self, String> {
        let (bad, total) = (count("bad requests", bad)?, count("requests", total)?);
        if bad > total {
            return Err(format!("{bad} bad requests of {total} is more than all of them"));
        }
        Ok(Self { bad, total })
    }

    /// With every bad request counted as a request.
    ///
    /// A window may hold more bad requests than requests: one that was counted in an earlier
    /// window and then broke off in its body, or one whose failure was read a moment before the
    /// request itself. Such a failure is a fact and must not be lost; taken as one request more,
    /// it makes the share too low over both windows rather than too high.
    #[must_use]
    pub const fn whole(self) -> Self {
        let total = if self.total > self.bad { self.total } else { self.bad };
        Self { bad: self.bad, total }
    }

    /// The share of bad requests, 0..=1; `None` without requests.
    pub fn share(self) -> Option<f64> {
        (self.total > 0).then(|| real(self.bad) / real(self.total))
    }

    /// Both together; stops at the largest count instead of wrapping.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            bad: self.bad.saturating_add(other.bad),
            total: self.total.saturating_add(other.total),
        }
    }
}

/// A float as a count of `what`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "within 0..=2^53 by the checks above it"
)]
fn count(what: &str, value: f64) -> Result<u64, String> {
    if value.is_nan() {
        return Err(format!("the number of {what} is not a number"));
    }
    if value.is_infinite() {
        return Err(format!("the number of {what} is infinite"));
    }
    if value < 0.0 {
        return Err(format!("the number of {what} is {value}, below zero"));
    }
    if value > Tally::LARGEST {
        return Err(format!("the number of {what} is {value}, above the largest count, 2^53"));
    }
    Ok(value.round() as u64)
}

impl TrackCounts {
    /// How many requests were bad in the sense of `bad`, [whole](Tally::whole); `None` when that
    /// was not counted (no such latency limit).
    pub fn tally(&self, bad: Bad) -> Option<Tally> {
        let bad = match bad {
            Bad::Failed => self.failures,
            Bad::SlowerThan(limit) => *self.slower_than.get(limit)?,
        };
        Some(Tally { bad, total: self.requests }.whole())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_no_counts_are_refused_with_a_sentence() {
        let said = [(f64::NAN, 1.0), (0.0, f64::INFINITY), (-1.0, 5.0), (3.0, 2.0), (0.0, 1e17)]
            .map(|(bad, total)| Tally::from_f64(bad, total).unwrap_err());
        assert_eq!(
            said,
            [
                "the number of bad requests is not a number",
                "the number of requests is infinite",
                "the number of bad requests is -1, below zero",
                "3 bad requests of 2 is more than all of them",
                "the number of requests is 100000000000000000, above the largest count, 2^53",
            ]
        );
    }

    #[test]
    fn fractions_of_requests_are_rounded() {
        assert_eq!(Tally::from_f64(1.4, 9.6), Ok(Tally { bad: 1, total: 10 }));
    }

    #[test]
    fn a_tally_takes_the_count_the_gate_is_about() {
        let counts = TrackCounts {
            requests: 9,
            failures: 1,
            slower_than: vec![4, 10],
            ..TrackCounts::default()
        };
        assert_eq!(counts.tally(Bad::Failed), Some(Tally { bad: 1, total: 9 }));
        assert_eq!(counts.tally(Bad::SlowerThan(0)), Some(Tally { bad: 4, total: 9 }));
        assert_eq!(counts.tally(Bad::SlowerThan(1)), Some(Tally { bad: 10, total: 10 }));
        assert_eq!(counts.tally(Bad::SlowerThan(2)), None, "never counted");
    }
}
