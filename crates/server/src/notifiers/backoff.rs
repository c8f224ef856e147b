//! When a message is tried again.

use rollout::units::Millis;

/// The waits after the first attempts that failed; the last is repeated.
const WAITS: [Millis; 5] = [
    Millis::from_secs(5),
    Millis::from_secs(30),
    Millis::from_secs(120),
    Millis::from_secs(600),
    Millis::from_secs(3_600),
];
/// After so many attempts, about a day in all, a message is given up.
const ATTEMPTS: u32 = 28;

/// How long to wait after attempt number `failed` (from 0) has failed: 5 s, 30 s, 2 min, 10 min,
/// then every hour. `None` once a day has gone by: the message is given up.
pub fn backoff(failed: u32) -> Option<Millis> {
    if failed >= ATTEMPTS {
        return None;
    }
    let index = usize::try_from(failed).unwrap_or(usize::MAX).min(WAITS.len() - 1);
    WAITS.get(index).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_an_hour_and_end_after_about_a_day() {
        assert_eq!(backoff(0), Some(Millis::from_secs(5)));
        assert_eq!(backoff(4), backoff(27));
        assert_eq!(backoff(28), None);
        let total: u64 = (0..).map_while(backoff).map(|wait| wait.0).sum();
        let day = Millis::from_secs(86_400).0;
        assert!(total > day * 9 / 10 && total < day * 11 / 10, "{total} ms in all");
    }
}
