//! From a gate's state to its answer: the rules, one kind of gate after the other.
//!
//! The rules and their reasons are told in [the module's own documentation](super).

use std::f64::consts::LN_2;

use super::blocks::Sums;
use super::budget::{PSI, average};
use super::gate::{GateSpec, GateState, Heard};
use super::logs::ln_mean_exp;
use super::sequential::{R_BAD, R_GOOD, R_LAT, log_e, lower_bound, upper_bound};
use super::verdict::{Answer, Numbers, Reason, Verdict};
use crate::plan::{MIN_BLOCKS, Metric, Test};
use crate::units::Millis;

/// How the evidence for a limit is averaged: blocks, and thinned requests.
const BLOCKS_PART: f64 = 0.1;
const REQUESTS_PART: f64 = 0.9;
/// How much above stable nobody minds, where failures are too rare for a ratio.
const NEGLIGIBLE: f64 = 0.001;
/// From this limit on, a latency gate is about the middle of the requests (p95 and below).
const LARGE_LIMIT: f64 = 0.05;

/// A state seen through its spec, with what both tracks amount to.
struct View<'a> {
    state: &'a GateState,
    spec: &'a GateSpec,
    canary: (f64, f64),
    stable: (f64, f64),
}

/// Why the gate is broken, once the evidence suffices.
pub(super) fn broken(state: &GateState, spec: &GateSpec) -> Option<Reason> {
    let view = View::new(state, spec);
    if view.fail_evidence() < spec.ln_fail {
        return None;
    }
    let rate = state.canary.all.share()?;
    let stable = state.stable.all.share();
    match spec.test {
        Test::Below { limit } => Some(Reason::AboveLimit { rate, limit, stable }),
        Test::NoWorseThanStable => Some(Reason::WorseThanStable { rate, stable: stable? }),
        Test::BelowStablePlus { margin } => {
            Some(Reason::AboveStablePlus { rate, stable: stable?, margin })
        }
        Test::Sustained { .. } => None,
    }
}

/// The answer, its reason, and its numbers.
pub(super) fn verdict(state: &GateState, spec: &GateSpec) -> Verdict {
    let view = View::new(state, spec);
    let numbers = view.numbers();
    let (answer, reason) = match (&state.failed, spec.test) {
        (Some(reason), _) => (Answer::Fail, reason.clone()),
        (None, Test::Sustained { limit, lasting }) => view.sustained(limit, lasting),
        (None, _) => view.weighed(&numbers),
    };
    Verdict { answer, reason, numbers }
}

impl<'a> View<'a> {
    fn new(state: &'a GateState, spec: &'a GateSpec) -> Self {
        Self { state, spec, canary: state.canary.thinned(), stable: state.stable.thinned() }
    }

    /// Evidence that the gate is broken, on the scale of [`GateSpec::ln_fail`].
    fn fail_evidence(&self) -> f64 {
        let relative = self.state.relative.log_e();
        match self.spec.test {
            Test::Below { .. } => self.state.absolute.log_e().min(relative),
            Test::NoWorseThanStable => relative,
            Test::BelowStablePlus { margin } => relative.min(self.above_stable_plus(margin)),
            Test::Sustained { .. } => 0.0,
        }
    }

    /// Evidence that the gate is kept, on the scale of [`GateSpec::ln_pass`].
    fn pass_evidence(&self) -> f64 {
        match self.spec.test {
            Test::Below { limit } => {
                let (bad, total) = self.canary;
                let requests = log_e(bad, total, limit, &R_GOOD);
                average(&[(self.state.passing.log_e(), BLOCKS_PART), (requests, REQUESTS_PART)])
            }
            Test::NoWorseThanStable => {
                let rare = self.below_stable_plus(NEGLIGIBLE, 2.0 * LN_2);
                (self.as_good() - LN_2).max(rare)
            }
            Test::BelowStablePlus { margin } => self.below_stable_plus(margin, LN_2),
            Test::Sustained { .. } => 0.0,
        }
    }

    /// Evidence that the canary is less than [`PSI`] times as bad as stable, on comparisons
    /// thinned by the worse of both design effects.
    fn as_good(&self) -> f64 {
        let effect = self.state.canary.design_effect().max(self.state.stable.design_effect());
        ln_mean_exp(self.state.as_good.iter().map(|sum| sum / effect))
    }

    /// Evidence that the canary is below what stable has at least, plus `margin`. Each of the
    /// two bounds may err, so each is asked for `more` evidence than the whole.
    fn below_stable_plus(&self, margin: f64, more: f64) -> f64 {
        let stable =
            lower_bound(self.stable.0, self.stable.1, self.spec.ln_pass + more, self.bad_odds());
        log_e(self.canary.0, self.canary.1, (stable + margin).min(1.0), &R_GOOD) - more
    }

    /// Evidence that the canary is above what stable has at most, plus `margin`.
    fn above_stable_plus(&self, margin: f64) -> f64 {
        let stable = upper_bound(self.stable.0, self.stable.1, self.spec.ln_fail + LN_2, &R_GOOD);
        log_e(self.canary.0, self.canary.1, (stable + margin).min(1.0), self.bad_odds()) - LN_2
    }

    /// The odds a broken limit is looked for at: the fine ones for a latency gate whose limit
    /// is large (p95 and below), where a regression moves the odds only a little; else those
    /// for failures.
    fn bad_odds(&self) -> &'static [f64] {
        let Metric::Latency { quantile, .. } = self.spec.metric else {
            return &R_BAD;
        };
        let limit = match self.spec.test {
            Test::Below { limit } | Test::Sustained { limit, .. } => limit,
            Test::NoWorseThanStable | Test::BelowStablePlus { .. } => 1.0 - quantile,
        };
        if limit >= LARGE_LIMIT { &R_LAT } else { &R_BAD }
    }

    /// The limit on the canary's share; a comparison's follows from stable's share so far.
    fn limit(&self) -> Option<f64> {
        let stable = || self.state.stable.all.share();
        match self.spec.test {
            Test::Below { limit } | Test::Sustained { limit, .. } => Some(limit),
            Test::NoWorseThanStable => {
                stable().map(|share| (PSI * share).max(share + NEGLIGIBLE).min(1.0))
            }
            Test::BelowStablePlus { margin } => stable().map(|share| (share + margin).min(1.0)),
        }
    }

    fn numbers(&self) -> Numbers {
        let Sums { all, blocks, .. } = self.state.canary;
        let (bad, total) = self.canary;
        let known = all.share().is_some();
        Numbers {
            requests: all.total,
            bad: all.bad,
            rate: all.share(),
            lower: known.then(|| lower_bound(bad, total, self.spec.ln_fail, self.bad_odds())),
            upper: known.then(|| upper_bound(bad, total, self.spec.ln_pass, &R_GOOD)),
            limit: self.limit(),
            stable_rate: self.state.stable.all.share(),
            evidence: self.fail_evidence(),
            evidence_needed: self.spec.ln_fail,
            pass_evidence: self.pass_evidence(),
            pass_needed: self.spec.ln_pass,
            blocks,
        }
    }

    /// A plain threshold: broken without a break for `lasting`. It recovers.
    fn sustained(&self, limit: f64, lasting: Millis) -> (Answer, Reason) {
        let run = self.state.run;
        if run > Millis::ZERO && run >= lasting {
            return (Answer::Fail, Reason::AboveFor { limit, run });
        }
        if let Some(reason) = self.unknown().or_else(|| self.too_few_requests()) {
            return (Answer::Hold, reason);
        }
        match self.state.last.share() {
            Some(rate) if rate <= limit => (Answer::Pass, Reason::NotAbove { rate, limit }),
            Some(rate) if run == Millis::ZERO => {
                (Answer::Hold, Reason::LastBlockAbove { rate, limit })
            }
            Some(_) => (Answer::Hold, Reason::AboveSince { limit, run, lasting }),
            None => (Answer::Hold, Reason::NoRequests),
        }
    }

    /// A gate that weighs evidence and has not failed.
    fn weighed(&self, numbers: &Numbers) -> (Answer, Reason) {
        let (Some(limit), Some(rate)) = (numbers.limit, numbers.rate) else {
            return (Answer::Hold, self.unknown().unwrap_or(Reason::NoStable));
        };
        let waiting = self
            .unknown()
            .or_else(|| self.no_stable())
            .or_else(|| self.last_block_above(limit))
            .or_else(|| self.too_few_requests())
            .or_else(|| self.too_few_blocks())
            .or_else(|| self.shared_with_stable(limit, rate));
        match waiting {
            Some(reason) => (Answer::Hold, reason),
            None if numbers.pass_evidence >= self.spec.ln_pass => {
                (Answer::Pass, Reason::BelowLimit { rate, limit })
            }
            None => {
                let (lower, upper) = (numbers.lower.unwrap_or(0.0), numbers.upper.unwrap_or(1.0));
                (Answer::Hold, Reason::CannotTell { lower, upper, limit })
            }
        }
    }

    fn unknown(&self) -> Option<Reason> {
        match &self.state.heard {
            Heard::Missing(why) => Some(Reason::Missing { why: why.clone() }),
            Heard::Nothing => Some(Reason::NoBlocks),
            Heard::Observed => (self.state.canary.all.total == 0).then_some(Reason::NoRequests),
        }
    }

    fn no_stable(&self) -> Option<Reason> {
        let compares =
            matches!(self.spec.test, Test::NoWorseThanStable | Test::BelowStablePlus { .. });
        (compares && self.state.stable.all.total == 0).then_some(Reason::NoStable)
    }

    fn last_block_above(&self, limit: f64) -> Option<Reason> {
        let rate = self.state.last.share().filter(|&rate| rate > limit)?;
        Some(Reason::LastBlockAbove { rate, limit })
    }

    fn too_few_requests(&self) -> Option<Reason> {
        let (requests, needed) = (self.state.canary.all.total, self.spec.min_requests);
        (requests < needed).then_some(Reason::TooFewRequests { requests, needed })
    }

    fn too_few_blocks(&self) -> Option<Reason> {
        let blocks = self.state.canary.blocks;
        (blocks < MIN_BLOCKS).then_some(Reason::TooFewBlocks { blocks, needed: MIN_BLOCKS })
    }

    /// The limit is broken beyond doubt; that it has not failed means stable is no better.
    fn shared_with_stable(&self, limit: f64, rate: f64) -> Option<Reason> {
        let broken = matches!(self.spec.test, Test::Below { .. })
            && self.state.absolute.log_e() >= self.spec.ln_fail;
        broken.then(|| Reason::SharedWithStable {
            rate,
            limit,
            stable: self.state.stable.all.share(),
        })
    }
}
