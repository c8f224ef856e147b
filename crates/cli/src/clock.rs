//! The command line's only clock: how long ago something was, for people.

use std::time::{SystemTime, UNIX_EPOCH};

use rollout::units::Timestamp;

/// Now; a clock before 1970 counts as 1970.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// `2026-11-20 21:15:25Z`: the moment in UTC, to the second.
pub(crate) fn utc(at: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(at) => format!("{at:.0}").replace('T', " "),
        Err(_) => format!("{} ms", at.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc_to_the_second() {
        assert_eq!(utc(Timestamp(1_795_209_325_678)), "2026-11-20 21:15:25Z");
        assert_eq!(utc(Timestamp(i64::MAX)), "9223372036854775807 ms");
    }
}
