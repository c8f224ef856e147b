//! Requests a second, for people: what went where over the last few seconds.

use std::collections::VecDeque;

use rollout::units::Millis;

use super::clock::Mark;
use super::proxies::Tally;

/// How far back a rate looks.
const WINDOW: Millis = Millis::from_secs(3);
/// How often a sample is taken.
const EVERY: Millis = Millis(500);

/// The last few seconds of counters.
#[derive(Default)]
pub(super) struct Rates {
    samples: VecDeque<(Mark, Tally)>,
}

impl Rates {
    /// Remembers what has been counted until now, at most twice a second.
    pub(super) fn sample(&mut self, now: Mark, tally: impl FnOnce() -> Tally) {
        if self.samples.back().is_some_and(|(last, _)| last.elapsed() < EVERY) {
            return;
        }
        self.samples.push_back((now, tally()));
        while self.samples.len() > 2
            && self.samples.front().is_some_and(|(first, _)| first.elapsed() > WINDOW)
        {
            self.samples.pop_front();
        }
    }

    /// Requests a second to `release` over the last few seconds.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub(super) fn per_second(&self, service: &str, release: &str) -> f64 {
        let (Some((first, earlier)), Some((last, later))) =
            (self.samples.front(), self.samples.back())
        else {
            return 0.0;
        };
        let length = first.elapsed().minus(last.elapsed()).to_std().as_secs_f64();
        if length <= 0.0 {
            return 0.0;
        }
        later.since(earlier, service, release).requests as f64 / length
    }
}
