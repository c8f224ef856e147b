//! What is tried again, and when. Pure.

use rollout::units::{Millis, Timestamp};

/// The waits before the second attempt and those after it; then [`LATER`] each time.
const FIRST: [Millis; 4] =
    [Millis::from_secs(5), Millis::from_secs(30), Millis::from_secs(120), Millis::from_secs(600)];
/// The wait once the first ones are over.
const LATER: Millis = Millis::from_secs(3_600);
/// A message is given up when its waits would exceed this together.
pub const DEAD_AFTER: Millis = Millis::from_secs(86_400);

/// How long to wait after an attempt failed, when `failed` attempts had failed before it: 5 s,
/// 30 s, 2 min, 10 min, then 1 h each time. `None` when the waits would exceed 24 h together: the
/// message is dead.
pub fn backoff(failed: u32) -> Option<Millis> {
    let index = usize::try_from(failed).unwrap_or(usize::MAX);
    let waits = index.saturating_add(1);
    let first = FIRST.iter().take(waits).fold(Millis::ZERO, |sum, wait| sum.plus(*wait));
    let later = u64::try_from(waits.saturating_sub(FIRST.len())).unwrap_or(u64::MAX);
    let total = first.plus(LATER.times(later));
    let wait = FIRST.get(index).copied().unwrap_or(LATER);
    (total <= DEAD_AFTER).then_some(wait)
}

/// Whether an answer means that no attempt will ever succeed: a 4xx is about the message, except
/// those that are about the moment (408, 425, 429).
pub fn is_permanent(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 408 | 425 | 429)
}

/// What `Retry-After` asks for, at most [`DEAD_AFTER`]: seconds, or a date, which is counted from
/// `now` (RFC 9110, 10.2.3). `None` when it is neither.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Millis> {
    let value = value.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Millis::from_secs(seconds),
        Err(_) => date(value)?.since(now),
    };
    Some(wait.min(DEAD_AFTER))
}

fn date(text: &str) -> Option<Timestamp> {
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Timestamp(date.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_grow_to_an_hour_and_end_within_a_day() {
        let waits: Vec<Millis> = (0..).map_while(backoff).collect();
        let shown: Vec<String> = waits.iter().take(6).map(ToString::to_string).collect();
        assert_eq!(shown, ["5s", "30s", "2m", "10m", "1h", "1h"]);
        let total = waits.iter().fold(Millis::ZERO, |sum, wait| sum.plus(*wait));
        assert!(total <= DEAD_AFTER && total.plus(LATER) > DEAD_AFTER, "{total}");
        assert_eq!(waits.len(), 27);
        assert_eq!(backoff(u32::MAX), None);
    }

    #[test]
    fn only_answers_about_the_message_itself_are_final() {
        let last: Vec<u16> = (100..600).filter(|status| is_permanent(*status)).collect();
        assert_eq!(last.len(), 97);
        assert!(last.contains(&410) && last.contains(&400) && last.contains(&404));
        for again in [301, 408, 425, 429, 500, 503] {
            assert!(!is_permanent(again), "{again}");
        }
    }

    #[test]
    fn a_receiver_may_ask_for_a_later_attempt_in_seconds_or_by_date() {
        let now = Timestamp(784_111_777_000 - 90_000);
        assert_eq!(retry_after(" 120 ", now), Some(Millis::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Millis::from_secs(90)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(Millis::ZERO));
        assert_eq!(retry_after("99999999999", now), Some(DEAD_AFTER));
        assert_eq!(retry_after("soon", now), None);
    }
}
