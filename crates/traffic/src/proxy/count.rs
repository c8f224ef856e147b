//! What is counted, and where: a ledger a release, a shard a thread, no lock on the path.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rollout::evidence::TrackCounts;
use rollout::evidence::histogram::{BUCKETS, bucket_of};
use serde::{Deserialize, Serialize};

use super::apart::Apart;
use super::mirror::Copies;

/// Everything a proxy has counted since it started; differences are only taken between two
/// readings of the same `instance`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Differs each time a proxy starts.
    pub instance: u64,
    /// By service name.
    pub services: BTreeMap<String, ServiceCounters>,
    /// Requests that no service on their listen address was for, by address; those of which
    /// that could not be told are among them. Since the address was opened.
    #[serde(default)]
    pub unrouted: BTreeMap<String, u64>,
    /// Access-log lines dropped because the writer did not keep up.
    pub log_lines_dropped: u64,
}

/// What was counted for one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceCounters {
    /// The limits [`TrackCounts::slower_than`] is about, in microseconds, ascending.
    pub latency_limits_us: Vec<u64>,
    /// Requests answered with 503 because no release serves.
    pub unserved: u64,
    /// By release id. A release that left is kept while requests to it are in flight and
    /// after that among the last 16 of its service.
    pub releases: BTreeMap<String, ReleaseCounters>,
}

/// What was counted for one release, cumulative since the proxy started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseCounters {
    /// Requests, failures and latency to the first byte. A request is counted when its
    /// answer begins (or fails to); a body that breaks later adds a failure then, so one
    /// window may hold a failure whose request was counted in the window before.
    pub counts: TrackCounts,
    /// Answers by status class: 1xx, 2xx, 3xx, 4xx, 5xx; what the proxy answered in a
    /// release's place (502, 504) is among them.
    pub classes: [u64; 5],
    /// Why requests failed; the sum is `counts.failures`.
    pub causes: Causes,
    /// Answers cut because the release left and its drain was over; nobody's failure. One
    /// cut before it began is not among the requests.
    pub cut: u64,
    /// Bytes of request bodies, and from clients through upgraded connections.
    pub bytes_in: u64,
    /// Bytes of response bodies, and to clients through upgraded connections.
    pub bytes_out: u64,
    /// Time to the last byte, sparse: (bucket of the histogram, whole answers).
    pub latency_to_last: Vec<(u16, u64)>,
}

/// Failures by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Causes {
    /// Answered with 5xx by the release itself.
    pub status: u64,
    /// No connection to the upstream in time.
    pub connect: u64,
    /// The connection ended before the answer began, or the answer was no HTTP.
    pub reset: u64,
    /// No first byte in time.
    pub timeout: u64,
    /// The answer's body ended early or stalled.
    pub broken_body: u64,
    /// The version said so in `grpc-status`: 2, 4, 13, 14 or 15.
    #[serde(default)]
    pub grpc: u64,
}

/// Why one request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Status,
    Connect,
    Reset,
    Timeout,
    BrokenBody,
    Grpc,
}

impl Cause {
    /// As the access log writes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::BrokenBody => "broken_body",
            Self::Grpc => "grpc",
        }
    }
}

/// A counter with a cache line a thread.
#[derive(Debug)]
pub(crate) struct Sharded(Box<[Line]>);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Line(AtomicU64);

impl Sharded {
    /// All zero, for `workers` threads.
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Line::default()).collect())
    }

    /// One more, seen by `worker`.
    pub(crate) fn add(&self, worker: usize) {
        if let Some(line) = self.0.get(worker) {
            line.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The sum over all threads.
    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().map(|line| line.0.load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }
}

/// What one thread counts for one release.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Shard {
    begun: AtomicU64,
    ended: AtomicU64,
    requests: AtomicU64,
    client_gone: AtomicU64,
    shielded: AtomicU64,
    cut: AtomicU64,
    classes: [AtomicU64; 5],
    status: AtomicU64,
    connect: AtomicU64,
    reset: AtomicU64,
    timeout: AtomicU64,
    broken_body: AtomicU64,
    grpc: AtomicU64,
    testers: [AtomicU64; 2],
    segments: [AtomicU64; 2],
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    first: Box<[AtomicU64]>,
    last: Box<[AtomicU64]>,
}

impl Shard {
    fn new() -> Self {
        let histogram = || (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Self {
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            client_gone: AtomicU64::new(0),
            shielded: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            classes: Default::default(),
            status: AtomicU64::new(0),
            connect: AtomicU64::new(0),
            reset: AtomicU64::new(0),
            timeout: AtomicU64::new(0),
            broken_body: AtomicU64::new(0),
            grpc: AtomicU64::new(0),
            testers: Default::default(),
            segments: Default::default(),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            first: histogram(),
            last: histogram(),
        }
    }

    /// A request is on its way.
    pub(crate) fn begin(&self) {
        add(&self.begun, 1);
    }

    /// A request is over, whichever way; with what its bodies carried.
    pub(crate) fn end(&self, bytes_in: u64, bytes_out: u64) {
        add(&self.bytes_in, bytes_in);
        add(&self.bytes_out, bytes_out);
        self.ended.fetch_add(1, Ordering::Release);
    }

    /// An answer begins, `us` after its request came.
    pub(crate) fn answer(&self, status: u16, us: u64) {
        add(&self.requests, 1);
        let class = usize::from(status.checked_div(100).unwrap_or_default()).saturating_sub(1);
        if let Some(class) = self.classes.get(class) {
            add(class, 1);
        }
        record(&self.first, us);
    }

    /// The request failed.
    pub(crate) fn fail(&self, cause: Cause) {
        let counter = match cause {
            Cause::Status => &self.status,
            Cause::Connect => &self.connect,
            Cause::Reset => &self.reset,
            Cause::Timeout => &self.timeout,
            Cause::BrokenBody => &self.broken_body,
            Cause::Grpc => &self.grpc,
        };
        add(counter, 1);
    }

    /// An answer begins that is counted apart.
    pub(crate) fn apart(&self, apart: Apart, failed: bool) {
        let [requests, failures] = self.of(apart);
        add(requests, 1);
        add(failures, u64::from(failed));
    }

    /// A request that was counted apart failed after all.
    pub(crate) fn apart_late(&self, apart: Apart) {
        let [_, failures] = self.of(apart);
        add(failures, 1);
    }

    const fn of(&self, apart: Apart) -> &[AtomicU64; 2] {
        match apart {
            Apart::Tester => &self.testers,
            Apart::Segment => &self.segments,
        }
    }

    /// The client went away before its answer began.
    pub(crate) fn client_gone(&self) {
        add(&self.client_gone, 1);
    }

    /// Stable answered in its place.
    pub(crate) fn shielded(&self) {
        add(&self.shielded, 1);
    }

    /// The answer was cut by the end of a drain.
    pub(crate) fn cut(&self) {
        add(&self.cut, 1);
    }

    /// The answer is out, `us` after its request came.
    pub(crate) fn complete(&self, us: u64) {
        record(&self.last, us);
    }
}

/// Everything counted for one release of one service.
#[derive(Debug)]
pub(crate) struct Ledger {
    shards: Box<[Shard]>,
    /// Exact counts above a limit in microseconds, one a limit ever asked for.
    limits: Mutex<BTreeMap<u64, Arc<Sharded>>>,
    /// What became of copies it got.
    pub copies: Copies,
}

impl Ledger {
    /// All zero, for `workers` threads.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            shards: (0..workers).map(|_| Shard::new()).collect(),
            limits: Mutex::default(),
            copies: Copies::default(),
        }
    }

    /// What `worker` counts into.
    pub(crate) fn shard(&self, worker: usize) -> Option<&Shard> {
        self.shards.get(worker)
    }

    /// The counter of requests slower than `limit_us`.
    pub(crate) fn limit(&self, limit_us: u64) -> Arc<Sharded> {
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let counter =
            limits.entry(limit_us).or_insert_with(|| Arc::new(Sharded::new(self.shards.len())));
        Arc::clone(counter)
    }

    /// Requests begun and not over. Never too low by one that has both begun and not ended.
    pub(crate) fn in_flight(&self) -> u64 {
        let ended = self.sum(|shard| shard.ended.load(Ordering::Acquire));
        self.sum(|shard| shard.begun.load(Ordering::Relaxed)).saturating_sub(ended)
    }

    /// The sums, with the exact counts for these limits.
    pub(crate) fn read(&self, limits_us: &[u64]) -> ReleaseCounters {
        let sum = |counter: fn(&Shard) -> &AtomicU64| {
            self.sum(|shard| counter(shard).load(Ordering::Relaxed))
        };
        let causes = Causes {
            status: sum(|shard| &shard.status),
            connect: sum(|shard| &shard.connect),
            reset: sum(|shard| &shard.reset),
            timeout: sum(|shard| &shard.timeout),
            broken_body: sum(|shard| &shard.broken_body),
            grpc: sum(|shard| &shard.grpc),
        };
        let counts = TrackCounts {
            failures: causes.sum(),
            requests: sum(|shard| &shard.requests),
            client_gone: sum(|shard| &shard.client_gone),
            shielded: sum(|shard| &shard.shielded),
            testers: self.sum_apart(Apart::Tester),
            segments: self.sum_apart(Apart::Segment),
            mirrored: self.copies.read(),
            slower_than: limits_us.iter().map(|&limit| self.limit(limit).sum()).collect(),
            latency: self.histogram(|shard| &shard.first),
        };
        ReleaseCounters {
            counts,
            classes: self.classes(),
            causes,
            cut: sum(|shard| &shard.cut),
            bytes_in: sum(|shard| &shard.bytes_in),
            bytes_out: sum(|shard| &shard.bytes_out),
            latency_to_last: self.histogram(|shard| &shard.last),
        }
    }

    fn sum(&self, counter: impl Fn(&Shard) -> u64) -> u64 {
        self.shards.iter().map(counter).fold(0, u64::wrapping_add)
    }

    fn sum_apart(&self, apart: Apart) -> rollout::evidence::Apart {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.shards.iter().fold(rollout::evidence::Apart::NONE, |sum, shard| {
            let [requests, failures] = shard.of(apart);
            sum.plus(rollout::evidence::Apart {
                requests: load(requests),
                failures: load(failures),
            })
        })
    }

    fn classes(&self) -> [u64; 5] {
        let mut sums = [0_u64; 5];
        for shard in &self.shards {
            for (sum, counter) in sums.iter_mut().zip(&shard.classes) {
                *sum = sum.wrapping_add(counter.load(Ordering::Relaxed));
            }
        }
        sums
    }

    fn histogram(&self, counters: fn(&Shard) -> &[AtomicU64]) -> Vec<(u16, u64)> {
        let mut sums = vec![0_u64; BUCKETS];
        for shard in &self.shards {
            for (sum, counter) in sums.iter_mut().zip(counters(shard)) {
                *sum = sum.wrapping_add(counter.load(Ordering::Relaxed));
            }
        }
        (0..).zip(sums).filter(|&(_, count)| count > 0).collect()
    }
}

impl Causes {
    /// All failures.
    pub const fn sum(&self) -> u64 {
        self.status
            .wrapping_add(self.connect)
            .wrapping_add(self.reset)
            .wrapping_add(self.timeout)
            .wrapping_add(self.broken_body)
            .wrapping_add(self.grpc)
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

fn record(histogram: &[AtomicU64], us: u64) {
    if let Some(counter) = histogram.get(usize::from(bucket_of(us))) {
        add(counter, 1);
    }
}
