//! What is counted of copies, for the release that gets them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rollout::evidence::Mirrored;
use rollout::evidence::histogram::{BUCKETS, bucket_of};

/// How a request was answered: its status, and microseconds to the first byte.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Met {
    pub status: u16,
    pub us: u64,
}

/// See the module. The lock is taken by copies and by readers, never by a user's request.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    sent: AtomicU64,
    dropped: AtomicU64,
    compared: Mutex<Compared>,
}

#[derive(Debug, Default)]
struct Compared {
    /// Without latencies.
    sums: Mirrored,
    /// By bucket; empty before the first.
    stable: Vec<u64>,
    copy: Vec<u64>,
}

impl Copies {
    /// A copy is on its way.
    pub(crate) fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// A copy is not sent: too many are under way.
    pub(crate) fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Both have answered.
    pub(crate) fn compare(&self, stable: Met, copy: Met) {
        let mut compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        let Compared { sums, stable: stable_latency, copy: copy_latency } = &mut *compared;
        sums.compared = sums.compared.wrapping_add(1);
        if stable.status != copy.status {
            sums.different = sums.different.wrapping_add(1);
            sums.add_pair(stable.status, copy.status, 1);
        }
        record(stable_latency, stable.us);
        record(copy_latency, copy.us);
    }

    /// The sums; `None` where there was no copy.
    pub(crate) fn read(&self) -> Option<Box<Mirrored>> {
        let compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        let read = Mirrored {
            sent: self.sent.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            stable_latency: sparse(&compared.stable),
            copy_latency: sparse(&compared.copy),
            ..compared.sums.clone()
        };
        (!read.is_none()).then(|| Box::new(read))
    }
}

fn record(histogram: &mut Vec<u64>, us: u64) {
    histogram.resize(BUCKETS, 0);
    if let Some(count) = histogram.get_mut(usize::from(bucket_of(us))) {
        *count = count.wrapping_add(1);
    }
}

fn sparse(histogram: &[u64]) -> Vec<(u16, u64)> {
    (0..).zip(histogram.iter().copied()).filter(|&(_, count)| count > 0).collect()
}
