//! Everything goes wrong here on purpose.
//!
//! A history is drawn from one number. The real [`rollout::machine`] runs over the real
//! contract of [`store::log`], in memory and in virtual time; around it a [world] is
//! faked: a clock, a [proxy] with the real guard's test in it, processes that come up or
//! do not, receivers of messages. [People](scenario) release versions and send commands, most
//! of them sensible. [Faults](faults) strike: the controller dies between any two steps, a
//! commit does not say whether it happened, pushes are lost or late, evidence is missing or
//! NaN, the clock jumps by up to thirty days, another controller takes over.
//!
//! After every step the [checker](check) reads what the log has gained and holds it against a
//! simpler [model] and the [invariants]. After a while nothing goes wrong any more; then every
//! rollout has to come to an end or to a person within its plan's time and ten minutes, and
//! everything owed has to be done or given up.
//!
//! [`run`] plays one history. The same seed is the same history, to the byte; whoever gets a
//! [`Failure`] has the seed in it. [`run_sabotaged`] plays it with a bug planted, to see that the
//! checker finds it. [`healthy`] asks how often a healthy release is taken back.
//!
//! Deliberately absent: real time, threads, files and sockets, and the HTTP around the machine.

pub mod check;
pub mod driver;
pub mod env;
pub mod faults;
pub mod healthy;
mod history;
pub mod invariants;
pub mod model;
pub mod proxy;
pub mod scenario;
pub mod seed;
pub mod world;

use std::collections::BTreeMap;
use std::fmt;

use rollout::units::Millis;

use crate::faults::Fault;
use crate::invariants::Violation;

/// A history that kept every invariant.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// How many events the log has.
    pub events: u64,
    /// How many controllers there were, one after the other.
    pub lives: u64,
    /// How much time passed in it.
    pub virtual_time: Millis,
    /// How many rollouts are in which state at its end.
    pub ends: BTreeMap<&'static str, u64>,
    /// How often each fault struck.
    pub faults: BTreeMap<Fault, u64>,
    /// How often the controller died at each place.
    pub crashes: BTreeMap<&'static str, u64>,
    /// What happened, a line an entry.
    pub history: Vec<String>,
}

/// A history that broke an invariant.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its seed: run it again with `SLUICE_SEED`.
    pub seed: u64,
    /// What was broken.
    pub violation: Violation,
    /// What happened until then, a line an entry.
    pub history: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} broke {}", self.seed, self.violation)?;
        self.history.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        write!(f, "again: SLUICE_SEED={} cargo test -p sim", self.seed)
    }
}

impl std::error::Error for Failure {}

/// A bug planted in the driver or the world, to see that the checker finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// A stage starts without having been written down.
    ApplyWithoutAppend,
    /// Every message of a rollout has the same key.
    ReusedKey,
    /// The canary keeps its share after a rollback has started.
    WeightStays,
    /// A window of traffic is evidence twice.
    EvidenceTwice,
    /// A stage starts though its gates have not passed.
    UnearnedAdvance,
    /// A stage is left out.
    SkippedStage,
    /// A paused rollout goes on.
    PauseIgnored,
    /// A rollout is not woken again.
    ForgottenWake,
    /// The proxy takes what arrives last for what is newest.
    OldSnapshotTaken,
    /// Messages are sent before what owes them is written.
    SentBeforeStored,
    /// The proxy is told the next stage's weight while this one still runs.
    WeightAhead,
    /// The log does not ask who writes.
    Unfenced,
}

impl Sabotage {
    /// Every planted bug, with the invariants that may tell it.
    pub const ALL: [(Self, &'static [&'static str]); 12] = [
        (Self::ApplyWithoutAppend, &["I7"]),
        (Self::ReusedKey, &["I10"]),
        (Self::WeightStays, &["I5"]),
        (Self::EvidenceTwice, &["I2"]),
        (Self::UnearnedAdvance, &["I2"]),
        (Self::SkippedStage, &["I4", "I17"]),
        (Self::PauseIgnored, &["I17"]),
        (Self::ForgottenWake, &["I18"]),
        (Self::OldSnapshotTaken, &["I5"]),
        (Self::SentBeforeStored, &["I10"]),
        (Self::WeightAhead, &["I1"]),
        (Self::Unfenced, &["I9"]),
    ];
}

/// Plays the history of `seed`.
///
/// # Errors
/// The invariant it broke, with the seed and the history.
pub fn run(seed: u64) -> Result<Outcome, Failure> {
    history::play(seed, None)
}

/// Plays the history of `seed` with a bug planted.
///
/// # Errors
/// The invariant it broke: the bug was found.
pub fn run_sabotaged(seed: u64, sabotage: Sabotage) -> Result<Outcome, Failure> {
    history::play(seed, Some(sabotage))
}
