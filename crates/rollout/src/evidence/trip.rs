//! The fast test the guard runs.
//!
//! Every few milliseconds, on single requests, at a limit far above any burst one forgives:
//! the tests of [`super::sequential`] at that limit and of [`super::two_sample`] against
//! stable, both with restarts, and both must agree. A release that fails everything is shut
//! out within a handful of requests; the finer question is left to the blocks.
//!
//! **Intervals.** The comparison with stable closes an interval at each look that saw
//! somebody fail, and carries the requests of quiet looks until then. At 10 ms most looks hold
//! one request or none; taken alone they would compare the canary with nobody. Given the
//! counts, each request is as likely as any other of its kind to be the bad one that closed
//! it, so the test keeps its level.
//!
//! **A break after health.** Each good request takes worth from every bet, so after a second of
//! health at a hundred requests a second nothing placed before is worth anything. Fresh wealth
//! is therefore put in after each look that saw the canary fail, too: bets may depend on what
//! was seen before them, and a break shows itself by its first failure. A canary that was fine
//! for 1,500 requests is shut out after about as many failures as one that never was.
//!
//! **Little stable.** Between 50 % and 100 % of the traffic blocks take hours to fail a gate, and the
//! trip is what is left to act soon: it compares with stable as well, but request by request.
//!
//! **Stable gone.** When stable had no traffic for a whole stretch between two restarts (it was
//! drained at 100 %), there is nothing to compare with and the limit alone decides; a few late
//! requests to it would otherwise keep the guard from ever acting.

use serde::{Deserialize, Serialize};

use super::counts::Tally;
use super::logs::real;
use super::sequential::R_BAD;
use super::two_sample;
use super::wealth::Wealth;
use crate::units::Millis;

/// The numbers of one trip: when a canary is shut out at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TripSpec {
    /// The catastrophe limit: a share of bad requests (0..1) no healthy burst reaches.
    pub limit: f64,
    /// The canary may be this many times as bad as stable before it is the canary's fault.
    pub psi: f64,
    /// Natural log of 1/alpha: the evidence needed to shut the gate.
    pub ln_threshold: f64,
    /// How often fresh wealth is put in, so that a late break is seen as fast as an early one.
    pub restart_every: Millis,
    /// Over about how many restarts the wealth is spread; later ones get less and less of it.
    pub restarts: u32,
}

/// How much of the wealth is kept for restarts.
const CASH: f64 = 0.5;
/// Over about how many failures the wealth is spread that is put in after them; a healthy canary
/// has some too.
const FAILURES: f64 = 16.0;
/// No healthy burst fails more than this share of requests, whatever the gate.
const CATASTROPHE_AT_LEAST: f64 = 0.25;
/// Failing this share is a catastrophe even where the gate is wide.
const CATASTROPHE_AT_MOST: f64 = 0.5;
/// Above this a limit cannot be proved broken: failing everything is hardly more.
const PROVABLE: f64 = 0.95;

/// The share of bad requests from which a gate at `gate_limit` (0..1) is broken
/// catastrophically; `None` for gates so wide that nothing much worse is left.
///
/// Ten times the gate, within 25 % and 50 %, and at least twice the gate. A limit of 50 % can
/// prove no more than 2 to 1 with each failure: an alpha of one in several thousand takes 13
/// failures in a row. 25 % takes 8, and still stands well above a burst one forgives.
pub fn catastrophe_limit(gate_limit: f64) -> Option<f64> {
    let limit =
        (10.0 * gate_limit).clamp(CATASTROPHE_AT_LEAST, CATASTROPHE_AT_MOST).max(2.0 * gate_limit);
    (limit <= PROVABLE).then_some(limit)
}

/// What the guard remembers of one trip: a few numbers, of fixed size.
#[derive(Clone, Debug, PartialEq)]
pub struct Trip {
    /// `ln r_k` and `ln(1 + limit (r_k - 1))`, which every look needs.
    per_bad: [f64; 8],
    per_request: [f64; 8],
    absolute: Wealth<8>,
    relative: Wealth<8>,
    /// How often fresh wealth has been put in because its time had come.
    restarts: u32,
    /// How often it has been because the canary had failed.
    failures: u32,
    /// Requests to canary and stable since somebody last failed.
    waiting: (u64, u64),
    /// Whether stable had traffic since the last restart, and before it since the one before.
    stable_now: bool,
    stable_before: bool,
    canary: Tally,
    stable: Tally,
}

/// What a trip rests on, for the log and for people.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TripNumbers {
    /// What the canary did since the start.
    pub canary: Tally,
    /// What stable did since the start.
    pub stable: Tally,
    /// Natural log of the evidence that the catastrophe limit is broken.
    pub absolute: f64,
    /// Natural log of the evidence that stable does not explain it; `None` while stable has
    /// no traffic.
    pub relative: Option<f64>,
}

impl Trip {
    /// Nothing seen yet.
    pub fn new(spec: &TripSpec) -> Self {
        Self {
            per_bad: R_BAD.map(f64::ln),
            per_request: R_BAD.map(|ratio| (spec.limit * (ratio - 1.0)).ln_1p()),
            absolute: Wealth::new(CASH),
            relative: Wealth::new(CASH),
            restarts: 0,
            failures: 0,
            waiting: (0, 0),
            stable_now: false,
            stable_before: false,
            canary: Tally::default(),
            stable: Tally::default(),
        }
    }

    /// Takes what was counted since the last look. Allocates nothing.
    ///
    /// Counters are read one after the other, so a failure may be seen a moment before its
    /// request; it then counts as a request too.
    pub fn observe(&mut self, spec: &TripSpec, canary: Tally, stable: Tally) {
        let (canary, stable) = (canary.whole(), stable.whole());
        self.canary = self.canary.plus(canary);
        self.stable = self.stable.plus(stable);
        self.stable_now |= stable.total > 0;
        if canary.total > 0 {
            self.absolute.grow(self.absolute_gains(canary));
        }
        self.compare(spec.psi, canary, stable);
        if canary.bad > 0 {
            let parts = FAILURES + f64::from(self.failures);
            self.put_in(parts);
            self.failures = self.failures.saturating_add(1);
        }
    }

    fn put_in(&mut self, parts: f64) {
        for wealth in [&mut self.absolute, &mut self.relative] {
            wealth.restart(parts);
        }
    }

    fn absolute_gains(&self, canary: Tally) -> [f64; 8] {
        let (bad, total) = (real(canary.bad), real(canary.total));
        let mut gains = self.per_bad;
        for (gain, cost) in gains.iter_mut().zip(self.per_request) {
            *gain = bad * *gain - total * cost;
        }
        gains
    }

    fn compare(&mut self, psi: f64, canary: Tally, stable: Tally) {
        self.waiting.0 = self.waiting.0.saturating_add(canary.total);
        self.waiting.1 = self.waiting.1.saturating_add(stable.total);
        if canary.bad > 0 || stable.bad > 0 {
            let canary = Tally { bad: canary.bad, total: self.waiting.0 };
            let stable = Tally { bad: stable.bad, total: self.waiting.1 };
            self.relative.grow(two_sample::gains(psi, canary, stable, R_BAD));
            self.waiting = (0, 0);
        }
    }

    /// Puts fresh wealth in; call it every [`TripSpec::restart_every`]. A stage that lasts longer
    /// than planned still has some, if less; see [`super::wealth`].
    pub fn restart(&mut self, spec: &TripSpec) {
        let parts = f64::from(spec.restarts.max(1)) + f64::from(self.restarts);
        self.put_in(parts);
        self.restarts = self.restarts.saturating_add(1);
        self.stable_before = self.stable_now;
        self.stable_now = false;
    }

    /// Whether the canary is to be shut out now.
    pub fn fired(&self, spec: &TripSpec) -> bool {
        self.absolute.ln() >= spec.ln_threshold
            && (!self.has_stable() || self.relative.ln() >= spec.ln_threshold)
    }

    const fn has_stable(&self) -> bool {
        self.stable_now || self.stable_before
    }

    /// What it rests on.
    pub fn numbers(&self) -> TripNumbers {
        TripNumbers {
            canary: self.canary,
            stable: self.stable,
            absolute: self.absolute.ln(),
            relative: self.has_stable().then(|| self.relative.ln()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catastrophe_stands_well_above_its_gate() {
        let limits = [0.001, 0.01, 0.03, 0.1, 0.25, 0.3, 0.475, 0.5].map(catastrophe_limit);
        let expected =
            [Some(0.25), Some(0.25), Some(0.3), Some(0.5), Some(0.5), Some(0.6), Some(0.95), None];
        assert_eq!(limits, expected);
    }
}
