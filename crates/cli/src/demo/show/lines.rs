//! A line for each thing that happens, with the seconds since the start.

use rollout::units::Timestamp;

use crate::clock;
use crate::output::note;

/// Writes to standard error: what happens is progress, the figures at the end are the data.
pub(in crate::demo) struct Lines {
    start: Timestamp,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self { start: clock::now() }
    }

    pub(super) fn say(&mut self, text: &str) {
        note(&super::dated(self.start, text));
    }
}
