//! The fast test the guard runs.

use serde::{Deserialize, Serialize};

use crate::units::Millis;

/// The numbers of one trip: when a canary is shut out at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TripSpec {
    /// The catastrophe limit: a share of bad requests (0..1) no healthy burst reaches.
    pub limit: f64,
    /// The canary may be this many times as bad as stable before it is the canary's fault.
    pub psi: f64,
    /// Natural log of 1/alpha: the evidence needed to shut the gate.
    pub ln_threshold: f64,
    /// How often fresh wealth is put in, so that a late break is seen as fast as an early one.
    pub restart_every: Millis,
    /// Over how many restarts the wealth is spread.
    pub restarts: u32,
}
