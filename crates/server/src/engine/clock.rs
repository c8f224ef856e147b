//! The only file of this crate that asks for the time.

use rollout::units::{Millis, Timestamp};
use tokio::time::Instant;

/// Wall time for the log, monotonic time for lengths: a clock that is set back must not make
/// a window of traffic shorter, nor one that jumps ahead meet a soak.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

#[expect(clippy::unused_self, reason = "whoever reads the time must have been given the clock")]
impl Clock {
    /// The time of day, for what is written down.
    pub fn now(self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let millis =
            since.map_or(0, |length| i64::try_from(length.as_millis()).unwrap_or(i64::MAX));
        Timestamp(millis)
    }

    /// A mark to measure lengths from.
    pub(crate) fn mark(self) -> Mark {
        Mark(Instant::now())
    }
}

/// A moment that only lengths are measured from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(Instant);

impl Mark {
    /// How long ago it was.
    pub(crate) fn elapsed(self) -> Millis {
        Millis(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}
