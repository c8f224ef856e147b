//! Blocks: real requests are not independent.
//!
//! Failures come in bursts: a client that retries, one bad upstream for twenty seconds, a
//! hiccup of something both tracks need. Counted singly, such requests lie. So each block of
//! time is one observation `x` between 0 and 1 with a mean of at most `mu` while the release
//! is healthy, and a bet on it multiplies wealth by `1 + f (x / mu - 1)`:
//!
//! ```text
//! absolute:  x = s_c / n_c            mu = the limit
//! relative:  x = s_c / (s_c + s_b)    mu = psi n_c / (psi n_c + n_b)
//! ```
//!
//! This needs only that the mean of a block, given the past, is at most `mu`; inside a block
//! anything may depend on anything.
//!
//! Source: Waudby-Smith and Ramdas, *Estimating means of bounded random variables by
//! betting* (2024).
//!
//! What the relative form cannot do: wealth grows at most by `1 / mu` a block. With the
//! canary at half of the traffic that is 1.7 (some 15 blocks to a verdict however bad it
//! is), at nine tenths 1.07 (hundreds). Plans go from one half to everything for this reason.

use serde::{Deserialize, Serialize};

use super::counts::Tally;
use super::logs::real;
use super::two_sample::theta;
use super::wealth::Wealth;

/// The shares of wealth staked on a broken limit.
pub const F_BET: [f64; 6] = [0.03, 0.1, 0.2, 0.4, 0.7, 0.95];
/// The shares of the highest possible stake, `mu / (1 - mu)`, staked on a kept limit.
pub const F_PASS: [f64; 4] = [0.2, 0.5, 0.9, 0.99];

/// One block as a bet sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// What was seen, 0..=1.
    pub x: f64,
    /// The highest mean a healthy release has, above 0, at most 1.
    pub mu: f64,
}

impl Observation {
    /// The canary's share of bad requests against `limit` (0..1); `None` without requests.
    pub fn absolute(canary: Tally, limit: f64) -> Option<Self> {
        canary.share().map(|x| Self { x, mu: limit })
    }

    /// The canary's part in all bad requests against its part in all requests, weighted by
    /// `psi`; `None` when nobody failed or the canary had no requests.
    pub fn relative(canary: Tally, stable: Tally, psi: f64) -> Option<Self> {
        let mu = theta(psi, canary.total, stable.total);
        let all = Tally { bad: canary.bad, total: canary.bad.saturating_add(stable.bad) };
        if mu > 0.0 { all.share().map(|x| Self { x, mu }) } else { None }
    }
}

/// Bets that the mean is above the limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailBets(Wealth<6>);

impl FailBets {
    /// Wealth one, `cash` of it (0..1) kept for restarts.
    pub fn new(cash: f64) -> Self {
        Self(Wealth::new(cash))
    }

    /// Settles the bets on one block.
    pub fn observe(&mut self, seen: Observation) {
        self.0.grow(F_BET.map(|stake| (stake * (seen.x / seen.mu - 1.0)).ln_1p()));
    }

    /// Puts one of so many parts of the cash that is left in.
    pub fn restart(&mut self, parts: f64) {
        self.0.restart(parts);
    }

    /// Natural log of the evidence that the limit is broken.
    pub fn log_e(&self) -> f64 {
        self.0.ln()
    }
}

/// Bets that the mean is below the limit. They start at once and keep no cash: a Pass speaks
/// of the whole window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PassBets(Wealth<4>);

impl PassBets {
    /// Wealth one.
    pub fn new() -> Self {
        Self(Wealth::new(0.0))
    }

    /// Settles the bets on one block; `mu` below 1.
    pub fn observe(&mut self, seen: Observation) {
        self.0.grow(F_PASS.map(|part| (part * (seen.mu - seen.x) / (1.0 - seen.mu)).ln_1p()));
    }

    /// Natural log of the evidence that the limit is kept.
    pub fn log_e(&self) -> f64 {
        self.0.ln()
    }
}

impl Default for PassBets {
    fn default() -> Self {
        Self::new()
    }
}

/// Running sums of one track over blocks, enough to tell how far its requests are from
/// independent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// All requests and the bad ones.
    pub all: Tally,
    /// Blocks with requests.
    pub blocks: u32,
    /// Sum of `s^2 / n` over those blocks.
    pub squares: f64,
}

impl Sums {
    /// Adds one block; one without requests adds nothing.
    pub fn add(&mut self, block: Tally) {
        if let Some(share) = block.share() {
            self.all = self.all.plus(block);
            self.blocks = self.blocks.saturating_add(1);
            self.squares += share * real(block.bad);
        }
    }

    /// How many requests tell as much as one independent one, at least 1: Pearson's chi-square of
    /// bad requests over blocks, per degree of freedom.
    ///
    /// From few blocks that is a guess, and one that is too small passes a gate too easily. So what
    /// exceeds 1 is taken at its upper bound. The more blocks differ, the nearer that comes to holding
    /// nine times in ten (at three blocks: 50 % for an effect of 1.5, 87 % for 20). Blocks that differ
    /// no more than independent requests would stay at 1, so a steady release does not wait.
    pub fn design_effect(&self) -> f64 {
        let (bad, total) = (real(self.all.bad), real(self.all.total));
        let spread = self.squares - bad * bad / total;
        let freedom = f64::from(self.blocks.saturating_sub(1));
        let expected = bad / total * (1.0 - bad / total) * freedom;
        if expected > 0.0 {
            1.0 + (spread / expected - 1.0).max(0.0) / least_spread(freedom)
        } else {
            1.0
        }
    }

    /// Bad requests and requests as if independent: both divided by the design effect.
    pub fn thinned(&self) -> (f64, f64) {
        let effect = self.design_effect();
        (real(self.all.bad) / effect, real(self.all.total) / effect)
    }
}

/// The tenth percentile of the chi-square distribution per degree of freedom, by Wilson and
/// Hilferty's cube (*The Distribution of Chi-Square*, 1931), which is good from two degrees on; one
/// is taken for two.
fn least_spread(freedom: f64) -> f64 {
    const TENTH: f64 = -1.2816;
    let part = 2.0 / (9.0 * freedom.max(2.0));
    (1.0 - part + TENTH * part.sqrt()).powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(blocks: &[(u64, u64)]) -> Sums {
        let mut sums = Sums::default();
        for &(bad, total) in blocks {
            sums.add(Tally { bad, total });
        }
        sums
    }

    #[test]
    fn even_blocks_count_in_full_and_bursts_are_thinned() {
        assert!((sums(&[(1, 100), (1, 100), (1, 100)]).design_effect() - 1.0).abs() < 1e-12);
        assert!((sums(&[(0, 100), (0, 100)]).design_effect() - 1.0).abs() < 1e-12);
        // By hand: p = 0.1, chi-square = (20 - 10)^2/9 + (0 - 10)^2/9 = 22.2, one degree.
        let expected = 1.0 + (200.0 / 9.0 - 1.0) / least_spread(1.0);
        assert!((sums(&[(20, 100), (0, 100)]).design_effect() - expected).abs() < 1e-9);
    }

    #[test]
    fn the_least_spread_is_near_the_tables_of_chi_square() {
        for (freedom, tenth) in [(2.0, 0.211), (4.0, 1.064), (9.0, 4.168), (30.0, 20.599)] {
            let found = least_spread(freedom) * freedom;
            assert!((found - tenth).abs() < 0.02, "{found} for {tenth}");
        }
    }

    #[test]
    fn everything_bad_or_nothing_seen_is_not_a_division_by_zero() {
        assert!((sums(&[(7, 7), (3, 3)]).design_effect() - 1.0).abs() < 1e-12);
        assert_eq!(Sums::default().thinned(), (0.0, 0.0));
        assert_eq!(sums(&[(0, 0)]).blocks, 0);
    }
}
