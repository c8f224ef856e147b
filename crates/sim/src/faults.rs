//! What goes wrong, how often, and how often it did.

use std::collections::BTreeMap;
use std::fmt;

use crate::seed::Rng;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The controller dies between two steps.
    Crash,
    /// The controller freezes, another takes over, and the first one wakes.
    Overtaken,
    /// The log says no; nothing was written.
    CommitFailed,
    /// The log does not say, and nothing was written.
    CommitLost,
    /// The log does not say, and all was written.
    AnswerLost,
    /// A push to the proxy never arrives.
    PushLost,
    /// A push to the proxy arrives later, perhaps after newer ones.
    PushLate,
    /// Nothing is known of a window of traffic.
    EvidenceMissing,
    /// A metric source answers NaN.
    EvidenceNan,
    /// The time of day jumps ahead by up to 30 days.
    ClockAhead,
    /// The time of day jumps back by up to 30 days.
    ClockBack,
    /// A command is sent twice.
    DoubleClick,
    /// A receiver does not get a message.
    DeliveryFailed,
    /// A receiver gets a message and its answer is lost.
    DeliveryUnanswered,
    /// A version does not come up, and the deployer says so.
    DeployFailed,
    /// A version does not come up, and nobody says so.
    DeployHangs,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::Crash,
        Self::Overtaken,
        Self::CommitFailed,
        Self::CommitLost,
        Self::AnswerLost,
        Self::PushLost,
        Self::PushLate,
        Self::EvidenceMissing,
        Self::EvidenceNan,
        Self::ClockAhead,
        Self::ClockBack,
        Self::DoubleClick,
        Self::DeliveryFailed,
        Self::DeliveryUnanswered,
        Self::DeployFailed,
        Self::DeployHangs,
    ];

    /// The probability at each opportunity, before a history's own intensity.
    const fn rate(self) -> f64 {
        match self {
            Self::Crash => 0.008,
            Self::ClockAhead | Self::ClockBack => 0.003,
            Self::Overtaken => 0.002,
            Self::CommitFailed | Self::CommitLost | Self::AnswerLost => 0.02,
            Self::PushLost | Self::PushLate | Self::DoubleClick => 0.1,
            Self::EvidenceMissing | Self::EvidenceNan => 0.03,
            Self::DeliveryFailed | Self::DeliveryUnanswered => 0.15,
            Self::DeployFailed | Self::DeployHangs => 0.05,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Decides when something goes wrong, and counts.
#[derive(Debug)]
pub struct Faults {
    rng: Rng,
    intensity: f64,
    /// How often each kind struck.
    pub struck: BTreeMap<Fault, u64>,
    /// How often the controller died at each place.
    pub crashes: BTreeMap<&'static str, u64>,
}

impl Faults {
    /// Faults at `intensity` times their usual rates; 0 for none.
    pub fn new(rng: Rng, intensity: f64) -> Self {
        Self { rng, intensity, struck: BTreeMap::new(), crashes: BTreeMap::new() }
    }

    /// Nothing goes wrong from here on.
    pub fn stop(&mut self) {
        self.intensity = 0.0;
    }

    /// Whether `fault` happens at this opportunity.
    pub fn strikes(&mut self, fault: Fault) -> bool {
        let strikes = self.rng.chance(fault.rate() * self.intensity);
        if strikes {
            *self.struck.entry(fault).or_default() += 1;
        }
        strikes
    }

    /// Whether the controller dies at `place`.
    pub fn crash(&mut self, place: &'static str) -> bool {
        let dies = self.strikes(Fault::Crash);
        if dies {
            *self.crashes.entry(place).or_default() += 1;
        }
        dies
    }

    /// How long or how much, for a fault that has a size.
    pub fn size(&mut self, low: u64, high: u64) -> u64 {
        self.rng.between(low, high)
    }
}
