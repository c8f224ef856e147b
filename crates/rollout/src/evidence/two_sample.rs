//! Two samples: the canary against the stable that serves meanwhile.
//!
//! Of the bad requests of an interval, how many were the canary's? While the canary is at
//! most `psi` times as bad as stable, each of them is with probability at most
//! `theta = psi n_c / (psi n_c + n_b)`, whatever the common rate is: an outage that hits
//! both tracks says nothing against the canary. So the test of [`super::sequential`] applies
//! with `S = s_c`, `N = s_c + s_b`, interval by interval with its own `theta`.
//!
//! The probability is exact for `psi = 1` (all requests of the interval are exchangeable)
//! and while bad requests are rare; at rates near one the odds are meant, not the rates.

use super::counts::Tally;
use super::logs::real;
use super::sequential::gain;

/// How often a bad request of an interval is the canary's when the canary is `psi` times as
/// bad as stable; 0 without requests to the canary, 1 without requests to stable only.
pub fn theta(psi: f64, canary_requests: u64, stable_requests: u64) -> f64 {
    let canary = psi * real(canary_requests);
    if canary > 0.0 { canary / (canary + real(stable_requests)) } else { 0.0 }
}

/// What each odds ratio gains from one interval; nothing where nobody failed.
pub fn gains<const K: usize>(psi: f64, canary: Tally, stable: Tally, ratios: [f64; K]) -> [f64; K] {
    let all_bad = real(canary.bad.saturating_add(stable.bad));
    if all_bad == 0.0 {
        return [0.0; K];
    }
    let theta = theta(psi, canary.total, stable.total);
    ratios.map(|ratio| gain(real(canary.bad), all_bad, theta, ratio))
}
