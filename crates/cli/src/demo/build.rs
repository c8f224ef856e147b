//! The three builds of the demo's service, and what is wrong with each.

use std::fmt;
use std::time::Duration;

/// One build of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Build {
    /// What serves today: fails one request in 1,000.
    V1,
    /// A good successor: a little faster, and no worse.
    V2,
    /// Looks as good as v2, and leaks a database connection with each request.
    V3,
}

/// One request in so many fails for reasons of its own, in every build.
const FAILS_ONE_IN: u64 = 1_000;
/// The connections v3 starts with. It is well until the last is gone, which neither a health
/// check nor a person's quick look notices.
const POOL: u64 = 10;
/// Without a connection one request in so many is answered all the same, from a cache.
const CACHED_ONE_IN: u64 = 10;

impl Build {
    /// How long the build waits for its database.
    pub(super) const fn wait(self) -> Duration {
        match self {
            Self::V1 => Duration::from_millis(3),
            Self::V2 | Self::V3 => Duration::from_millis(2),
        }
    }

    /// Whether the process's `nth` request (from 1) is answered well.
    pub(super) const fn succeeds(self, nth: u64) -> bool {
        match self {
            Self::V3 if nth > POOL => nth.is_multiple_of(CACHED_ONE_IN),
            Self::V1 | Self::V2 | Self::V3 => !nth.is_multiple_of(FAILS_ONE_IN),
        }
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::V3 => "v3",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(build: Build, requests: std::ops::RangeInclusive<u64>) -> usize {
        requests.filter(|nth| !build.succeeds(*nth)).count()
    }

    #[test]
    fn v1_and_v2_fail_one_request_in_a_thousand() {
        assert_eq!(failures(Build::V1, 1..=10_000), 10);
        assert_eq!(failures(Build::V2, 1..=10_000), 10);
    }

    #[test]
    fn v3_is_well_at_first_and_then_fails_nine_in_ten() {
        assert_eq!(failures(Build::V3, 1..=POOL), 0);
        assert_eq!(failures(Build::V3, POOL + 1..=POOL + 100), 90);
    }
}
