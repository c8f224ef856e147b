//! Which upstream of a track serves a request.
//!
//! Of two drawn by lot, the one with fewer requests under way: nearly as even as looking at
//! all of them, and two threads that draw do not both run to the same one. Or, where that is asked
//! for, each in turn. Only upstreams
//! that answer their checks are drawn from; when none does, from all, since an attempt is
//! better than a certain failure.
//!
//! - **Slow start**: one that became healthy less than [`RAMP`] ago is taken with a chance
//!   that grows from a tenth to certainty, so that cold caches do not meet a full share.
//! - **Outliers**: one that fails [`OUTLIER_AFTER`] requests in a row (no connection, no
//!   answer, 5xx) is left out for [`OUTLIER_FIRST`], each time for twice as long, up to
//!   [`OUTLIER_MOST`]; never more than half of a track. The last one or the only one is never
//!   left out, so this hides no broken release: its failures are counted all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rollout::route::Balance;

use super::guard::micros;
use super::route::Track;
use super::upstream::{Health, Upstream};

/// How long an upstream is spared after it became healthy.
const RAMP: Duration = Duration::from_secs(10);
/// The least chance of one that is spared, in thousandths.
const RAMP_LEAST: u64 = 100;
/// Failures in a row that leave an upstream out.
const OUTLIER_AFTER: u32 = 5;
/// For how long the first time.
const OUTLIER_FIRST: Duration = Duration::from_secs(10);
/// For how long at most; after as long without another time, it begins anew.
const OUTLIER_MOST: Duration = Duration::from_secs(320);

/// What is seen of an upstream while it serves. Times are in microseconds since `born`.
#[derive(Debug)]
pub(crate) struct Standing {
    born: Instant,
    /// Requests under way.
    busy: AtomicU32,
    /// Failures in a row.
    failures: AtomicU32,
    /// How often it was left out.
    times: AtomicU32,
    /// Until when it is left out.
    out_until: AtomicU64,
    /// Since when it is healthy.
    well_since: AtomicU64,
}

/// A request under way on one upstream of several.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Upstream>);

impl Busy {
    /// Begins.
    pub(crate) fn on(upstream: &Arc<Upstream>) -> Self {
        upstream.standing.busy.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(upstream))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.standing.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Standing {
    /// Nothing was seen yet.
    pub(crate) fn new() -> Self {
        Self {
            born: Instant::now(),
            busy: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            times: AtomicU32::new(0),
            out_until: AtomicU64::new(0),
            well_since: AtomicU64::new(0),
        }
    }

    /// It has just become healthy.
    pub(crate) fn well(&self) {
        self.well_since.store(self.now(), Ordering::Relaxed);
    }

    /// Whether it is left out at present.
    pub(crate) fn is_out(&self) -> bool {
        let until = self.out_until.load(Ordering::Relaxed);
        until > 0 && self.now() < until
    }

    fn now(&self) -> u64 {
        micros(self.born.elapsed())
    }

    /// The chance of being taken when drawn, in thousandths.
    fn chance(&self) -> u64 {
        let since =
            self.well_since.load(Ordering::Relaxed).max(self.out_until.load(Ordering::Relaxed));
        let well = self.now().saturating_sub(since);
        let thousandths = well.saturating_mul(1_000).checked_div(micros(RAMP)).unwrap_or(1_000);
        thousandths.clamp(RAMP_LEAST, 1_000)
    }

    /// Leaves it out, for longer than the last time.
    fn leave_out(&self) {
        let (now, until) = (self.now(), self.out_until.load(Ordering::Relaxed));
        if now.saturating_sub(until) > micros(OUTLIER_MOST) {
            self.times.store(0, Ordering::Relaxed);
        }
        let doubled = 1_u32.checked_shl(self.times.fetch_add(1, Ordering::Relaxed));
        let length = OUTLIER_FIRST.saturating_mul(doubled.unwrap_or(u32::MAX)).min(OUTLIER_MOST);
        self.out_until.store(now.saturating_add(micros(length)), Ordering::Relaxed);
        self.failures.store(0, Ordering::Relaxed);
    }
}

/// Bits that decide what is drawn in the `turn`th request of a thread: the finalizer of
/// `SplitMix64` (Steele, Lea and Flood 2014).
pub(crate) const fn lot(turn: u64) -> u64 {
    let mixed = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Track {
    /// An upstream for a request, other than `tried`; `lot` decides what is drawn.
    pub(crate) fn pick(&self, lot: u64, tried: Option<u64>) -> Option<&Arc<Upstream>> {
        let others = || self.upstreams.iter().filter(|one| tried != Some(one.id));
        if self.upstreams.len() < 2 {
            return others().next();
        }
        let well = || others().filter(|one| one.health() == Health::Healthy);
        self.choose(lot, &|| well().filter(|one| !one.standing.is_out()))
            .or_else(|| self.choose(lot, &well))
            .or_else(|| self.choose(lot, &others))
    }

    fn choose<'a, I>(&self, lot: u64, from: &impl Fn() -> I) -> Option<&'a Arc<Upstream>>
    where
        I: Iterator<Item = &'a Arc<Upstream>> + Clone,
    {
        match self.balance {
            Balance::LeastRequest => draw(lot, from),
            Balance::RoundRobin => next(self.turn.fetch_add(1, Ordering::Relaxed), lot, from()),
        }
    }

    /// A request to one of several upstreams went well, or not.
    pub(crate) fn observe(&self, upstream: &Upstream, good: bool) {
        if self.upstreams.len() < 2 {
            return;
        }
        let standing = &upstream.standing;
        if good {
            standing.failures.store(0, Ordering::Relaxed);
            return;
        }
        let failures = standing.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures < OUTLIER_AFTER || standing.is_out() {
            return;
        }
        let out = self.upstreams.iter().filter(|one| one.standing.is_out()).count();
        if out.saturating_add(1).saturating_mul(2) <= self.upstreams.len() {
            standing.leave_out();
            tracing::warn!(upstream = %upstream.address, release = %self.release, "left out");
        }
    }
}

/// The one whose turn it is; the one after it where that is spared, by lot.
fn next<'a, I>(turn: usize, lot: u64, from: I) -> Option<&'a Arc<Upstream>>
where
    I: Iterator<Item = &'a Arc<Upstream>> + Clone,
{
    let count = from.clone().count();
    let first = turn.checked_rem(count)?;
    let mut round = from.cycle().skip(first).take(count);
    let due = round.next()?;
    let spin = (lot >> 32) & 0xffff;
    let is_taken = |one: &Upstream| spin.checked_rem(1_000) < Some(one.standing.chance());
    if is_taken(due) { Some(due) } else { round.find(|one| is_taken(one)).or(Some(due)) }
}

/// One of two drawn by lot.
fn draw<'a, I>(lot: u64, from: &impl Fn() -> I) -> Option<&'a Arc<Upstream>>
where
    I: Iterator<Item = &'a Arc<Upstream>>,
{
    let count = from().count();
    let below = |shift: u32, count: usize| {
        usize::try_from((lot >> shift) & 0xffff).ok()?.checked_rem(count)
    };
    let first = below(0, count)?;
    let one = from().nth(first)?;
    let Some(step) = below(16, count.saturating_sub(1)) else {
        return Some(one);
    };
    let second = first.saturating_add(step).saturating_add(1).checked_rem(count)?;
    let other = from().nth(second)?;
    let taken = |one: &Upstream, shift: u32| {
        below(shift, 1_000).is_some_and(|spin| (spin as u64) < one.standing.chance())
    };
    Some(match (taken(one, 32), taken(other, 48)) {
        (true, false) => one,
        (false, true) => other,
        _ => {
            let busy = |one: &Upstream| one.standing.busy.load(Ordering::Relaxed);
            if busy(other) < busy(one) { other } else { one }
        }
    })
}

#[cfg(test)]
mod tests;
