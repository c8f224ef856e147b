//! Chance, all of it from one number.
//!
//! xoshiro256** seeded through splitmix64, both by Blackman and Vigna (<https://prng.di.unimi.it>).
//! Our own, so that a seed means the same history for as long as this file stays as it is.

/// A source of chance: the same seed gives the same draws, on every machine.
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// A source from `seed`; every seed is a good one.
    pub fn new(seed: u64) -> Self {
        let mut mix = seed;
        Self { state: [0; 4].map(|_: u64| splitmix(&mut mix)) }
    }

    /// Another source, independent of what this one goes on to draw.
    pub fn fork(&mut self) -> Self {
        Self::new(self.draw())
    }

    /// Any 64 bits.
    pub fn draw(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let drawn = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        drawn
    }

    /// A share, 0.0 up to but without 1.0.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a float exactly")]
    pub fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// True with probability `share` (0..=1).
    pub fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// A whole number from `low` to `high`, both included. The bias of the remainder is below
    /// 2^-40 for the small ranges drawn here.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        let count = high.saturating_sub(low).saturating_add(1);
        low + self.draw() % count
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// When there are none.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let last = choices.len() as u64 - 1;
        choices[usize::try_from(self.between(0, last)).unwrap_or(0)]
    }

    /// How many of `n` independent events of probability `p` happen. Exact for an expectation
    /// below 40, by the distances between events; a rounded normal distribution above.
    pub fn binomial(&mut self, n: u64, p: f64) -> u64 {
        if p <= 0.0 || n == 0 {
            return 0;
        }
        if p > 0.5 {
            return n - self.binomial(n, 1.0 - p);
        }
        let mean = real(n) * p;
        if mean < 40.0 {
            return self.counted(n, p);
        }
        let spread = (mean * (1.0 - p)).sqrt();
        whole(mean + spread * self.normal()).min(n)
    }

    /// How many events come in a time in which `mean` are expected.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        if mean > 40.0 {
            return whole(mean + mean.sqrt() * self.normal());
        }
        let (mut count, mut left) = (0, self.unit());
        let floor = (-mean).exp();
        while left > floor {
            left *= self.unit();
            count += 1;
        }
        count
    }

    fn counted(&mut self, n: u64, p: f64) -> u64 {
        let quiet = (-p).ln_1p();
        let (mut count, mut place) = (0, 0_u64);
        loop {
            let distance = whole(((1.0 - self.unit()).ln() / quiet).floor());
            place = place.saturating_add(distance).saturating_add(1);
            if place > n {
                return count;
            }
            count += 1;
        }
    }

    /// Box and Muller's standard normal number.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

const fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A count as a float; counts here stay far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) const fn real(count: u64) -> f64 {
    count as f64
}

/// The nearest whole number of `value`, 0 below zero.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from float saturates, which is what is wanted"
)]
pub(crate) fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_draws_for_ever() {
        let mut rng = Rng::new(1);
        let first: Vec<u64> = (0..3).map(|_| rng.draw()).collect();
        let again: Vec<u64> = {
            let mut rng = Rng::new(1);
            (0..3).map(|_| rng.draw()).collect()
        };
        assert_eq!(first, again);
        assert_ne!(first[0], Rng::new(2).draw());
        // The first output of splitmix64 for state 0, from its authors' reference code.
        assert_eq!(splitmix(&mut 0), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn counts_have_the_mean_they_should() {
        let mut rng = Rng::new(7);
        for (n, p) in [(150, 0.002), (15_000, 0.002), (15_000, 0.3), (100, 0.99)] {
            let sum: u64 = (0..4_000).map(|_| rng.binomial(n, p)).sum();
            let (mean, expected) = (real(sum) / 4_000.0, real(n) * p);
            let error = (expected * (1.0 - p) / 4_000.0).sqrt();
            assert!((mean - expected).abs() < 5.0 * error, "{n} x {p}: {mean} for {expected}");
        }
        for expected in [0.3, 12.0, 900.0] {
            let sum: u64 = (0..4_000).map(|_| rng.poisson(expected)).sum();
            let error = (expected / 4_000.0_f64).sqrt();
            assert!((real(sum) / 4_000.0 - expected).abs() < 5.0 * error);
        }
    }
}
