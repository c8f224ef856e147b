//! A wealth that several bets share, with cash kept back for those that start late.
//!
//! Each part is multiplied by factors whose mean is at most one while the release is healthy,
//! so the mean of the parts plus the cash is an e-process: by Ville's inequality it ever
//! reaches `1/alpha` with probability at most `alpha`.
//!
//! **Starting late.** A release that was fine for two hours has brought every part down to
//! almost nothing, and a plain e-process then needs minutes of total failure to recover. So
//! part of the wealth is kept as cash and put in bit by bit. Moving cash into a bet changes
//! nothing at that moment, so it stays an e-process.
//!
//! **How much, when.** Nobody knows how long a stage will last: it may hold, and a bake of days
//! may follow. Equal steps are spent one day, and from then on nothing new starts; steps that
//! are the same part of what is left shrink to nothing within a few times their number. So the
//! `n`th step (from 0) is one of `parts + n` parts of what is left: about even over the first
//! `parts` steps, and `parts / (parts + n)^2` of the cash, never nothing, after them.

use serde::{Deserialize, Serialize};

use super::logs::{ln_add, ln_mean_exp};

/// `K` bets of equal share, each kept as the logarithm of its worth, and the cash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(serialize = "[f64; K]: Serialize", deserialize = "[f64; K]: Deserialize<'de>"))]
pub struct Wealth<const K: usize> {
    ln_parts: [f64; K],
    cash: f64,
}

impl<const K: usize> Wealth<K> {
    /// A wealth of one, `cash` of it (0..1, exclusive of 1) kept back.
    pub fn new(cash: f64) -> Self {
        Self { ln_parts: [(-cash).ln_1p(); K], cash }
    }

    /// Multiplies each part by `e^gain`.
    pub fn grow(&mut self, gains: [f64; K]) {
        for (part, gain) in self.ln_parts.iter_mut().zip(gains) {
            *part += gain;
        }
    }

    /// Moves one of so many parts of the cash that is left into every bet.
    pub fn restart(&mut self, parts: f64) {
        self.put_in(self.cash / parts.max(1.0));
    }

    /// Moves `step` of the cash, or what is left of it, into every bet.
    pub fn put_in(&mut self, step: f64) {
        let step = step.min(self.cash);
        if step > 0.0 {
            self.cash -= step;
            for part in &mut self.ln_parts {
                *part = ln_add(*part, step.ln());
            }
        }
    }

    /// Natural log of all there is.
    pub fn ln(&self) -> f64 {
        ln_add(ln_mean_exp(self.ln_parts.iter().copied()), self.cash.ln())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_cash_into_the_bets_changes_nothing_at_that_moment() {
        let mut wealth = Wealth::<2>::new(0.5);
        wealth.grow([-2.0, -5.0]);
        let before = wealth.ln();
        wealth.put_in(0.2);
        assert!((wealth.ln() - before).abs() < 1e-12);
        wealth.put_in(9.0);
        assert!((wealth.ln() - before).abs() < 1e-12);
        assert!(wealth.cash == 0.0);
    }
}
