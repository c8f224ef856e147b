//! Numbers that carry their unit: exposure, time, and lengths of time.
//!
//! Every number a plan or an event holds is one of these, so a percentage cannot be taken
//! for a fraction nor a second for a millisecond.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much of the traffic may meet the canary, in steps of 0.001 %.
///
/// Bounds: 0 (nobody) ..= 100 000 (everybody). The same unit serves the proxy and flags.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(try_from = "u32", into = "u32")]
pub struct Weight(u32);

impl Weight {
    /// Nobody meets the canary.
    pub const ZERO: Self = Self(0);
    /// Everybody meets the canary.
    pub const FULL: Self = Self(100_000);

    /// A weight of `steps` thousandths of a percent, or `None` above 100 000.
    pub const fn from_steps(steps: u32) -> Option<Self> {
        if steps <= 100_000 { Some(Self(steps)) } else { None }
    }

    /// A whole percentage, capped at 100.
    pub const fn percent(percent: u32) -> Self {
        if percent >= 100 { Self::FULL } else { Self(percent.saturating_mul(1_000)) }
    }

    /// Thousandths of a percent, 0..=100 000.
    pub const fn steps(self) -> u32 {
        self.0
    }

    /// Whether it is [`Self::ZERO`].
    pub const fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// The share as a fraction, 0.0..=1.0.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 100_000.0
    }

    /// What is left for stable: 100 % less this weight.
    pub const fn rest(self) -> Self {
        Self(100_000_u32.saturating_sub(self.0))
    }
}

impl TryFrom<u32> for Weight {
    type Error = String;
    fn try_from(steps: u32) -> Result<Self, String> {
        Self::from_steps(steps).ok_or_else(|| format!("weight {steps} is above 100000 (100 %)"))
    }
}

impl From<Weight> for u32 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}

impl fmt::Display for Weight {
    /// `1%`, `0.5%`, `12.345%`: no trailing zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.3}", f64::from(self.0) / 1_000.0);
        write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A moment, in milliseconds since the Unix epoch, UTC.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The moment `length` later; stops at the end of time instead of wrapping.
    #[must_use]
    pub const fn plus(self, length: Millis) -> Self {
        Self(self.0.saturating_add_unsigned(length.0))
    }

    /// How long ago `earlier` was; zero when it lies in the future (a clock that jumped back).
    pub const fn since(self, earlier: Self) -> Millis {
        let difference = self.0.saturating_sub(earlier.0);
        if difference <= 0 { Millis(0) } else { Millis(difference.unsigned_abs()) }
    }
}

/// A length of time in milliseconds.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// `seconds` as milliseconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// The same length for the standard library.
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }

    /// The sum; stops at the largest length instead of wrapping.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left after `other`; zero when nothing is.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// `n` times this length; stops at the largest length instead of wrapping.
    #[must_use]
    pub const fn times(self, n: u64) -> Self {
        Self(self.0.saturating_mul(n))
    }
}

impl fmt::Display for Millis {
    /// `350ms`, `1.5s`, `2h`, `7d`, `1h 30m`: the two largest units that are not zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] =
            [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        if self.0 < 1_000 {
            return write!(f, "{}ms", self.0);
        }
        if self.0 < 60_000 {
            let text = format!("{:.3}", self.to_std().as_secs_f64());
            return write!(f, "{}s", text.trim_end_matches('0').trim_end_matches('.'));
        }
        let mut left = self.0;
        let mut parts = Vec::new();
        for (size, unit) in UNITS {
            let count = left.checked_div(size).unwrap_or(0);
            left = left.checked_rem(size).unwrap_or(0);
            if count > 0 {
                parts.push(format!("{count}{unit}"));
            }
        }
        parts.truncate(2);
        f.write_str(&parts.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_read_as_percentages() {
        let shown: Vec<String> = [0, 1, 500, 1_000, 12_345, 100_000]
            .into_iter()
            .map(|steps| Weight::from_steps(steps).unwrap().to_string())
            .collect();
        assert_eq!(shown, ["0%", "0.001%", "0.5%", "1%", "12.345%", "100%"]);
        assert_eq!(Weight::from_steps(100_001), None);
    }

    #[test]
    fn lengths_of_time_read_as_people_write_them() {
        let shown: Vec<String> = [0, 350, 1_500, 60_000, 5_400_000, 7_200_000, 604_800_000]
            .into_iter()
            .map(|millis| Millis(millis).to_string())
            .collect();
        assert_eq!(shown, ["0ms", "350ms", "1.5s", "1m", "1h 30m", "2h", "7d"]);
    }

    #[test]
    fn a_clock_that_jumped_back_counts_as_no_time() {
        assert_eq!(Timestamp(5).since(Timestamp(9)), Millis::ZERO);
        assert_eq!(Timestamp(9).since(Timestamp(5)), Millis(4));
    }
}
