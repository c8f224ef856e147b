//! One sample: failures against a limit, request by request.
//!
//! For `S` bad of `N` requests and a limit `m` on their share,
//!
//! ```text
//! ln E(S, N; m) = logsumexp_k [ S ln r_k - N ln(1 + m (r_k - 1)) ] - ln K
//! ```
//!
//! is an even mixture of likelihood ratios against odds `r_k` times as high. With ratios above
//! one it is an e-process while the true share is at most `m` (evidence that the limit is
//! broken); with ratios below one, while it is at least `m` (evidence that it is kept).
//!
//! Source: Wald, *Sequential Analysis* (1947), as a mixture; Howard, Ramdas, `McAuliffe` and
//! Sekhon, *Time-uniform, nonparametric, nonasymptotic confidence sequences* (2021). With
//! independent requests it needs 1.15 to 1.4 times the fewest requests any test can.

use super::logs::ln_mean_exp;

/// Odds ratios of broken limits, for shares of a few percent.
pub const R_BAD: [f64; 8] = [1.25, 1.5, 2.0, 3.0, 6.0, 15.0, 60.0, 1000.0];
/// Odds ratios of kept limits.
pub const R_GOOD: [f64; 6] = [0.8, 2.0 / 3.0, 0.5, 0.25, 0.1, 0.01];
/// Odds ratios of broken limits, for large shares: finer near one, because a median that
/// moves by a tenth is already a slower service.
pub const R_LAT: [f64; 10] = [1.05, 1.1, 1.2, 1.4, 1.8, 2.5, 5.0, 15.0, 60.0, 1000.0];

/// Halvings that bring an interval of length one below what a float near 1e-3 can show.
const HALVINGS: u32 = 64;

/// What one odds `ratio` gains from `bad` of `total` requests against `limit` (0..=1).
pub fn gain(bad: f64, total: f64, limit: f64, ratio: f64) -> f64 {
    bad * ratio.ln() - total * (limit * (ratio - 1.0)).ln_1p()
}

/// Natural log of the evidence that the share of bad requests is not on `limit`'s (0..=1)
/// healthy side. Counts may be fractions: thinned counts are.
pub fn log_e(bad: f64, total: f64, limit: f64, ratios: &[f64]) -> f64 {
    ln_mean_exp(ratios.iter().map(|&ratio| gain(bad, total, limit, ratio)))
}

/// The largest share that is refuted as too small: the true one lies below this with
/// probability at most `alpha`, however often it is read. `ratios` above one; in 0..=1.
pub fn lower_bound(bad: f64, total: f64, ln_needed: f64, ratios: &[f64]) -> f64 {
    let refuted = |limit| log_e(bad, total, limit, ratios) >= ln_needed;
    if refuted(0.0) { bisect(refuted).0 } else { 0.0 }
}

/// The smallest share that is refuted as too large: the true one lies above this with
/// probability at most `alpha`, however often it is read. `ratios` below one; in 0..=1.
pub fn upper_bound(bad: f64, total: f64, ln_needed: f64, ratios: &[f64]) -> f64 {
    let refuted = |limit| log_e(bad, total, limit, ratios) >= ln_needed;
    if refuted(1.0) { bisect(|limit| !refuted(limit)).1 } else { 1.0 }
}

/// Where `holds` ends on 0..=1, from both sides, given that it holds at zero.
fn bisect(holds: impl Fn(f64) -> bool) -> (f64, f64) {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low, high)
}
