//! Numbers that look random and are the same in every run.

use std::time::Duration;

/// A sequence of `SplitMix64` (Steele, Lea and Flood, 2014), from a seed.
pub(crate) struct Scatter(pub(crate) u64);

impl Scatter {
    /// The next number.
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A length of time shorter than so many milliseconds, down to the microsecond.
    pub(crate) fn within_ms(&mut self, ms: u64) -> Duration {
        Duration::from_micros(self.number() % (ms * 1_000))
    }
}
