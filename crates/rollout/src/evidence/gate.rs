//! One gate's state: what is remembered of a stage, in a few numbers.

use serde::{Deserialize, Serialize};

use super::blocks::{FailBets, Observation, PassBets, Sums};
use super::budget::PSI;
use super::counts::Tally;
use super::judge;
use super::sequential::R_GOOD;
use super::two_sample;
use super::verdict::{Reason, Verdict};
use crate::plan::{Metric, Test};
use crate::units::Millis;

/// How much of the wealth that is bet on a broken gate is kept for restarts.
const CASH: f64 = 0.5;

/// The numbers one gate of one stage is judged by; derived from the plan, not stored.
#[derive(Clone, Debug, PartialEq)]
pub struct GateSpec {
    /// When the gate counts as broken or kept.
    pub test: Test,
    /// What is measured; it chooses the odds the lower bound is made from.
    pub metric: Metric,
    /// The evidence a Fail needs, `ln 1/alpha`.
    pub ln_fail: f64,
    /// The evidence a Pass needs, `ln 1/alpha`.
    pub ln_pass: f64,
    /// No Pass on fewer requests to the canary.
    pub min_requests: u64,
    /// Fresh wealth is put in after so many blocks with traffic; at least 1.
    pub restart_every_blocks: u32,
    /// Over about how many restarts the cash is spread; later ones get less and less of it, see
    /// [`wealth`](super::wealth).
    pub restarts: u32,
}

/// What is remembered of one gate in one stage. No samples are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateState {
    /// What the canary did.
    pub(super) canary: Sums,
    /// What stable did meanwhile.
    pub(super) stable: Sums,
    /// Blocks against the limit.
    pub(super) absolute: FailBets,
    /// Blocks against stable.
    pub(super) relative: FailBets,
    /// Blocks for the limit.
    pub(super) passing: PassBets,
    /// Requests for the comparison: what each of [`R_GOOD`] gained.
    pub(super) as_good: [f64; 6],
    /// How long the share has been above a threshold without a break.
    pub(super) run: Millis,
    /// The canary in the last block in which it had requests.
    pub(super) last: Tally,
    /// How the last block ended.
    pub(super) heard: Heard,
    /// Once the evidence sufficed for a Fail: why. It stays.
    pub(super) failed: Option<Reason>,
}

/// What is known of the last block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Heard {
    /// There was none.
    Nothing,
    /// It was observed.
    Observed,
    /// Nothing is known of it, and why.
    Missing(String),
}

impl GateState {
    /// Nothing observed yet.
    pub fn new() -> Self {
        Self {
            canary: Sums::default(),
            stable: Sums::default(),
            absolute: FailBets::new(CASH),
            relative: FailBets::new(CASH),
            passing: PassBets::new(),
            as_good: [0.0; 6],
            run: Millis::ZERO,
            last: Tally::default(),
            heard: Heard::Nothing,
            failed: None,
        }
    }

    /// Takes one block of `length`; each tally as a [whole](Tally::whole).
    pub fn observe(&mut self, spec: &GateSpec, canary: Tally, stable: Tally, length: Millis) {
        let (canary, stable) = (canary.whole(), stable.whole());
        self.heard = Heard::Observed;
        self.stable.add(stable);
        if canary.total == 0 {
            self.run = Millis::ZERO;
            return;
        }
        self.canary.add(canary);
        self.last = canary;
        self.bet(spec, canary, stable, length);
        self.restart(spec);
        if self.failed.is_none() {
            self.failed = judge::broken(self, spec);
        }
    }

    /// A block nothing is known of: it adds no evidence, ends a run above a threshold, and
    /// keeps the gate from passing until the next observation.
    pub fn missing(&mut self, why: &str) {
        self.heard = Heard::Missing(why.to_owned());
        self.run = Millis::ZERO;
    }

    /// What the counts allow to say now.
    pub fn verdict(&self, spec: &GateSpec) -> Verdict {
        judge::verdict(self, spec)
    }

    fn bet(&mut self, spec: &GateSpec, canary: Tally, stable: Tally, length: Millis) {
        match spec.test {
            Test::Below { limit } => self.bet_on_limit(limit, canary, stable),
            Test::NoWorseThanStable | Test::BelowStablePlus { .. } => self.compare(canary, stable),
            Test::Sustained { limit, .. } => {
                let above = canary.share().is_some_and(|share| share > limit);
                self.run = if above { self.run.plus(length) } else { Millis::ZERO };
            }
        }
    }

    /// In a block in which stable had no requests the limit stands in for it. Otherwise a few
    /// late requests to stable, or none, would keep a broken canary at 100 % from failing.
    fn bet_on_limit(&mut self, limit: f64, canary: Tally, stable: Tally) {
        if let Some(absolute) = Observation::absolute(canary, limit) {
            self.absolute.observe(absolute);
            self.passing.observe(absolute);
            let explained = if stable.total > 0 {
                Observation::relative(canary, stable, PSI)
            } else {
                Some(absolute)
            };
            if let Some(explained) = explained {
                self.relative.observe(explained);
            }
        }
    }

    fn compare(&mut self, canary: Tally, stable: Tally) {
        if let Some(seen) = Observation::relative(canary, stable, 1.0) {
            self.relative.observe(seen);
        }
        for (sum, gain) in
            self.as_good.iter_mut().zip(two_sample::gains(PSI, canary, stable, R_GOOD))
        {
            *sum += gain;
        }
    }

    /// Only blocks with traffic count, as only they count for the soak: a service that sleeps
    /// at night shall not have spent its cash in the morning.
    fn restart(&mut self, spec: &GateSpec) {
        let (blocks, every) = (self.canary.blocks, spec.restart_every_blocks.max(1));
        if blocks.checked_rem(every) == Some(0) {
            let before = blocks.checked_div(every).unwrap_or(0).saturating_sub(1);
            let parts = f64::from(spec.restarts.max(1)) + f64::from(before);
            self.absolute.restart(parts);
            self.relative.restart(parts);
        }
    }
}

impl Default for GateState {
    fn default() -> Self {
        Self::new()
    }
}
