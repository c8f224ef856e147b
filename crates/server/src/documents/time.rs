//! Moments as people and programs both read them.

use rollout::units::Timestamp;

/// RFC 3339 in UTC, to the millisecond: `2026-11-20T21:40:08.123Z`. A moment that no calendar
/// holds is shown as what it is, a number.
pub(super) fn rfc3339(at: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(moment) => format!("{moment:.3}"),
        Err(_) => format!("{} ms since 1970", at.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc_to_the_millisecond() {
        assert_eq!(rfc3339(Timestamp(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(Timestamp(1_795_210_808_120)), "2026-11-20T21:40:08.120Z");
        assert_eq!(rfc3339(Timestamp(i64::MAX)), "9223372036854775807 ms since 1970");
    }
}
