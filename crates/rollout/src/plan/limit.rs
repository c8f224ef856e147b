//! From one condition on one metric to the test that decides it.

use super::condition::{Bound, Sense};
use super::findings::{Findings, Place};
use super::gate::{Metric, Test};
use super::metric::Measure;
use super::quantity::{self, WHOLE};
use super::value;
use crate::units::{Millis, Weight};

/// What the rest of the plan says that decides whether a gate can be judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    /// The length of one block of evidence.
    pub(super) block: Millis,
    /// No request is slower than this: it is a failure instead.
    pub(super) answer: (Millis, &'static str),
    /// The stage's exposure, where it could be read.
    pub(super) weight: Option<Weight>,
}

/// One condition, and where findings about it go.
pub(super) struct Condition<'a, 't> {
    /// The metric's name.
    pub(super) name: &'a str,
    /// The condition as written.
    pub(super) text: &'a str,
    /// Where it was written.
    pub(super) place: Place<'a>,
    /// True under `gates`, false under `rollback_when`.
    pub(super) must_hold: bool,
    /// How long it must be broken without a break, where it need not hold all the time.
    pub(super) lasting: Option<Millis>,
    /// The rest of the plan.
    pub(super) around: Around,
    /// What was found.
    pub(super) findings: &'a mut Findings<'t>,
}

impl Condition<'_, '_> {
    /// The metric with its limit and the test, or nothing where something was found.
    pub(super) fn test(&mut self, measure: Measure, bound: Bound<'_>) -> Option<(Metric, Test)> {
        match bound {
            Bound::Amount(sense, amount) => {
                self.expect_sense(measure, sense)?;
                let (metric, limit) = self.limit(measure, amount)?;
                Some((metric, fixed(limit, self.lasting)))
            }
            Bound::Stable(sense, margin) => {
                let metric = self.compared(measure)?;
                self.expect_sense(measure, sense)?;
                let margin = value::share_of(margin, self.place, self.findings)?;
                let margin = self.decidable(margin)?;
                Some((metric, Test::BelowStablePlus { margin }))
            }
            Bound::NoWorse => Some((self.compared(measure)?, Test::NoWorseThanStable)),
        }
    }

    /// A gate says what must hold, `rollback_when` what must not.
    fn expect_sense(&mut self, measure: Measure, sense: Sense) -> Option<()> {
        let good = match measure {
            Measure::Failures | Measure::Quantile { .. } => Sense::Below,
            Measure::Successes => Sense::Above,
        };
        let (allowed, says) = if self.must_hold {
            (good, "but a gate says what must hold")
        } else {
            (good.opposite(), "but `rollback_when` says what must not go on")
        };
        if sense == allowed {
            return Some(());
        }
        let (name, word) = (self.name, allowed.word());
        self.refuse("wrong-sense", &format!("{says}; allowed: `{word}` for {name}"), None)
    }

    /// The metric with its limit, as a share of bad requests.
    fn limit(&mut self, measure: Measure, amount: &str) -> Option<(Metric, f64)> {
        match measure {
            Measure::Failures => {
                let bad = self.share(amount)?;
                Some((Metric::ErrorRate, self.decidable(bad)?))
            }
            Measure::Successes => {
                let bad = WHOLE.saturating_sub(self.share(amount)?);
                Some((Metric::SuccessRate, self.decidable(bad)?))
            }
            Measure::Quantile { quantile, slower } => {
                let limit_us = self.latency(amount)?;
                Some((Metric::Latency { quantile, limit_us }, fraction(slower)))
            }
        }
    }

    fn share(&mut self, amount: &str) -> Option<u64> {
        let length = quantity::microseconds(amount).is_ok();
        if length {
            let allowed = format!(
                "which is a length of time; allowed: a percentage, because {} is a share of requests",
                self.name
            );
            return self.refuse("invalid-percentage", &allowed, None);
        }
        value::share_of(amount, self.place, self.findings)
    }

    fn latency(&mut self, amount: &str) -> Option<u64> {
        if quantity::percentage(amount).is_ok() {
            let allowed = format!(
                "which is a percentage; allowed: a length of time, because {} is a latency",
                self.name
            );
            return self.refuse("invalid-duration", &allowed, Some("write `below 200ms`"));
        }
        let limit_us = value::microseconds_of(amount, self.place, self.findings)?;
        if limit_us == 0 {
            let why = "which every request breaks; allowed: more than 0ms";
            return self.refuse("undecidable-limit", why, None);
        }
        let (most, key) = self.around.answer;
        if limit_us > most.0.saturating_mul(1_000) {
            let why = format!(
                "but a request fails when its first byte takes {most}; allowed: at most {most}"
            );
            let help = format!("lower the limit or raise `{key}`");
            return self.refuse("limit-above-timeout", &why, Some(&help));
        }
        Some(limit_us)
    }

    /// The share as a fraction, where counts can show that it is kept or broken.
    fn decidable(&mut self, share: u64) -> Option<f64> {
        if share == 0 || share >= WHOLE {
            let why =
                "which no number of requests can decide; allowed: more than 0% and less than 100%";
            return self.refuse("undecidable-limit", why, None);
        }
        Some(fraction(share))
    }

    /// The metric, where it can be compared with what serves today.
    fn compared(&mut self, measure: Measure) -> Option<Metric> {
        let metric = match measure {
            Measure::Failures => Metric::ErrorRate,
            Measure::Successes => Metric::SuccessRate,
            Measure::Quantile { .. } => {
                let name = self.name;
                let why = format!(
                    "but {name} cannot be compared with stable without a limit; allowed: `below 200ms`"
                );
                let help = "compare error_rate or success_rate with stable";
                return self.refuse("quantile-without-limit", &why, Some(help));
            }
        };
        if self.lasting.is_some() {
            let why = "and how long it may be broken; allowed: a fixed limit, as in `below 1%`";
            return self.refuse("sustained-without-limit", why, None);
        }
        if self.around.weight == Some(Weight::FULL) {
            let why = "in a stage of 100%, where no request reaches stable; allowed: a fixed limit";
            return self.refuse("nothing-to-compare", why, None);
        }
        Some(metric)
    }

    /// Reports the condition as written, and why it is refused.
    fn refuse<T>(&mut self, code: &'static str, why: &str, help: Option<&str>) -> Option<T> {
        let message = format!("read `{}`, {why}", self.text);
        let help = help.map(str::to_owned);
        self.findings.error(code, self.place, message, help);
        None
    }
}

fn fixed(limit: f64, lasting: Option<Millis>) -> Test {
    match lasting {
        Some(lasting) => Test::Sustained { limit, lasting },
        None => Test::Below { limit },
    }
}

/// Millionths of a percent as a fraction.
#[expect(clippy::cast_precision_loss, reason = "at most 10^8, which a float holds exactly")]
pub(super) fn fraction(share: u64) -> f64 {
    share as f64 / WHOLE as f64
}
