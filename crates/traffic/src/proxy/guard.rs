//! The guard: shuts a canary out by itself when it fails catastrophically.
//!
//! Every [`TICK`] the watch thread hands what was witnessed since the last look to the tests of
//! [`rollout::evidence::Trip`]; when one fires, the canary's weight is zero for every request
//! that is split from then on, and stays so until a snapshot with another guard key (or with
//! weight zero) arrives.
//!
//! **Witnesses.** One user whose client retries in a loop must not shut the gate for
//! everybody, so *a user's failures count once per restart interval*; the same user's further
//! failures count neither as failures nor as requests. Good requests all count. Why not count
//! each user's successes once as well? Because a failure is rare and a success is not: a user
//! with 200 requests of which one failed would weigh one good to one bad, and a healthy
//! canary within its gate would look as if it failed a third of its users. Counted this way
//!
//! - the share of bad witnesses is never above the share of bad requests, so the absolute
//!   test keeps its level;
//! - users seen well before can still witness a late break, since only failures are
//!   remembered; a request that was good at its first byte and broke later adds one bad
//!   witness, and no request;
//! - both sides of the comparison with stable are counted alike. If the canary fails at most
//!   psi times as often, the share of its users who fail at least once in k requests,
//!   `1 - (1 - p)^k`, is also at most psi times stable's, since that is concave in p.
//!
//! The users seen failing are a bitmap of 2^20 bits a side, indexed by the *top* bits of the
//! bucket that split them. The canary at weight w owns exactly a share w of the indices and
//! stable the rest, so at any number of users both sides are crowded alike and none of the two
//! saturates before the other. (Indexed by other bits, stable's set would fill up first in an
//! outage that hits everybody, and the canary would seem to be the one that fails.)

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rollout::evidence::{Tally, Trip, TripNumbers};
use rollout::route::{Bad, Generation, TripRule};
use serde::{Deserialize, Serialize};

use super::count::Sharded;

/// How often the guard looks.
pub(crate) const TICK: Duration = Duration::from_millis(10);
/// The failure whose distance to the shut gate is reported.
const NAMED_FAILURE: u64 = 3;
/// Bits of a bucket that index the set of users seen failing.
const SET_BITS: u32 = 20;
/// Not yet.
const NEVER: u64 = u64::MAX;

/// Why a canary was shut out, published when it happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TripReport {
    /// The service.
    pub service: String,
    /// The release that was shut out.
    pub release: String,
    /// The stretch of traffic that was judged.
    pub guard_key: String,
    /// The gate whose rule fired.
    pub gate: String,
    /// The snapshot in force.
    pub generation: Generation,
    /// What was witnessed, and the natural logs of the evidence.
    pub numbers: TripNumbers,
    /// The evidence that was needed, as a natural log.
    pub ln_threshold: f64,
    /// Microseconds from the third failure witnessed on the canary to the shut gate; `None`
    /// when there were fewer.
    pub third_failure_to_shut_us: Option<u64>,
}

/// Which side of the split a witness was on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Stable,
    Canary,
}

impl Side {
    /// As people read it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
        }
    }
}

/// What happened to one request, as far as rules ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    /// The version failed it.
    pub failed: bool,
    /// How many of the latency limits, ascending, its first byte exceeded.
    pub over: usize,
}

/// The guard of one stretch of traffic.
#[derive(Debug)]
pub(crate) struct Guard {
    key: String,
    rules: Vec<Rule>,
    began: Instant,
    shut: AtomicBool,
    judges: Mutex<Vec<Judge>>,
}

#[derive(Debug)]
struct Rule {
    asked: TripRule,
    canary: Witnesses,
    stable: Witnesses,
}

/// What one side showed of one rule.
#[derive(Debug)]
struct Witnesses {
    requests: Sharded,
    bad: AtomicU64,
    /// Users seen failing since the last restart.
    seen: Box<[AtomicU64]>,
    /// When the third was seen, in microseconds since the guard began.
    third_us: AtomicU64,
}

/// The test of one rule and what it has been told.
#[derive(Debug)]
struct Judge {
    trip: Trip,
    told: [Tally; 2],
    restarted: Instant,
}

/// A rule that fired.
#[derive(Debug, PartialEq)]
pub(crate) struct Fired {
    pub gate: String,
    pub numbers: TripNumbers,
    pub ln_threshold: f64,
    pub third_failure_to_shut_us: Option<u64>,
}

impl Guard {
    /// Begins to watch, with `workers` threads counting.
    pub(crate) fn new(key: &str, rules: &[TripRule], workers: usize, now: Instant) -> Self {
        let judges = rules
            .iter()
            .map(|rule| Judge {
                trip: Trip::new(&rule.spec),
                told: [Tally::default(); 2],
                restarted: now,
            })
            .collect();
        let rules = rules
            .iter()
            .map(|rule| Rule {
                asked: rule.clone(),
                canary: Witnesses::new(workers),
                stable: Witnesses::new(workers),
            })
            .collect();
        let shut = AtomicBool::new(false);
        Self { key: key.to_owned(), rules, began: now, shut, judges: Mutex::new(judges) }
    }

    /// Whether this guard is the one a snapshot asks for.
    pub(crate) fn watches(&self, key: &str, rules: &[TripRule]) -> bool {
        self.key == key && self.rules.iter().map(|rule| &rule.asked).eq(rules)
    }

    /// Whether the canary is shut out.
    pub(crate) fn is_shut(&self) -> bool {
        self.shut.load(Ordering::Acquire)
    }

    /// Shuts the canary out. False when it was already.
    pub(crate) fn shut(&self) -> bool {
        !self.shut.swap(true, Ordering::AcqRel)
    }

    /// The stretch of traffic.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// An answer began, or failed to.
    pub(crate) fn witness(&self, worker: usize, side: Side, bucket: u32, fate: Fate) {
        for rule in &self.rules {
            let witnesses = rule.side(side);
            if !rule.is_bad(fate) {
                witnesses.requests.add(worker);
            } else if witnesses.insert(bucket) {
                witnesses.requests.add(worker);
                witnesses.fail(self.began);
            }
        }
    }

    /// A request witnessed as `before` went bad afterwards.
    pub(crate) fn witness_late(&self, side: Side, bucket: u32, before: Fate, now: Fate) {
        for rule in &self.rules {
            let witnesses = rule.side(side);
            if !rule.is_bad(before) && rule.is_bad(now) && witnesses.insert(bucket) {
                witnesses.fail(self.began);
            }
        }
    }

    /// Looks once; the rule that fired, if one did.
    pub(crate) fn look(&self, now: Instant) -> Option<Fired> {
        let mut judges = self.judges.lock().unwrap_or_else(PoisonError::into_inner);
        judges
            .iter_mut()
            .zip(&self.rules)
            .find_map(|(judge, rule)| judge.look(rule, self.began, now))
    }
}

impl Rule {
    const fn side(&self, side: Side) -> &Witnesses {
        match side {
            Side::Stable => &self.stable,
            Side::Canary => &self.canary,
        }
    }

    const fn is_bad(&self, fate: Fate) -> bool {
        match self.asked.bad {
            Bad::Failed => fate.failed,
            Bad::SlowerThan(limit) => fate.failed || fate.over > limit,
        }
    }
}

impl Witnesses {
    fn new(workers: usize) -> Self {
        let words = (1_u32 << SET_BITS).div_ceil(u64::BITS);
        Self {
            requests: Sharded::new(workers),
            bad: AtomicU64::new(0),
            seen: (0..words).map(|_| AtomicU64::new(0)).collect(),
            third_us: AtomicU64::new(NEVER),
        }
    }

    /// Remembers that a user failed; false when that was known.
    fn insert(&self, bucket: u32) -> bool {
        let index = bucket >> u32::BITS.saturating_sub(SET_BITS);
        let bit = 1_u64 << (index & 63);
        let word = usize::try_from(index >> 6).ok().and_then(|word| self.seen.get(word));
        word.is_some_and(|word| word.fetch_or(bit, Ordering::Relaxed) & bit == 0)
    }

    fn fail(&self, began: Instant) {
        // Whoever reads this failure reads its request, too: it was added before.
        let before = self.bad.fetch_add(1, Ordering::Release);
        if before.saturating_add(1) == NAMED_FAILURE {
            self.third_us.store(micros(began.elapsed()), Ordering::Relaxed);
        }
    }

    fn read(&self) -> Tally {
        let bad = self.bad.load(Ordering::Acquire);
        Tally { bad, total: self.requests.sum() }
    }

    fn forget(&self) {
        for word in &self.seen {
            word.store(0, Ordering::Relaxed);
        }
    }
}

impl Judge {
    fn look(&mut self, rule: &Rule, began: Instant, now: Instant) -> Option<Fired> {
        let spec = &rule.asked.spec;
        let every = spec.restart_every.to_std();
        if !every.is_zero() && now.saturating_duration_since(self.restarted) >= every {
            self.restarted = now;
            self.trip.restart(spec);
            rule.canary.forget();
            rule.stable.forget();
        }
        let now_told = [rule.canary.read(), rule.stable.read()];
        let [canary, stable] = [0, 1].map(|side| since(&now_told, &self.told, side));
        self.told = now_told;
        self.trip.observe(spec, canary, stable);
        self.trip.fired(spec).then(|| Fired {
            gate: rule.asked.gate.clone(),
            numbers: self.trip.numbers(),
            ln_threshold: spec.ln_threshold,
            third_failure_to_shut_us: rule.canary.since_third(began),
        })
    }
}

impl Witnesses {
    fn since_third(&self, began: Instant) -> Option<u64> {
        let third = self.third_us.load(Ordering::Relaxed);
        (third != NEVER).then(|| micros(began.elapsed()).saturating_sub(third))
    }
}

/// What came on one side since it was last told.
fn since(now: &[Tally; 2], before: &[Tally; 2], side: usize) -> Tally {
    let now = now.get(side).copied().unwrap_or_default();
    let before = before.get(side).copied().unwrap_or_default();
    Tally { bad: now.bad.wrapping_sub(before.bad), total: now.total.wrapping_sub(before.total) }
}

/// Whole microseconds; the largest number for lengths beyond it.
pub(crate) fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
