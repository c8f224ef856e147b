//! What everything that happens shares: the world, the faults, and the history so far.

use rollout::units::Timestamp;

use crate::Sabotage;
use crate::faults::{Fault, Faults};
use crate::world::World;

/// Why a controller's life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It died, at this place.
    Crash(&'static str),
    /// Another one leads.
    Overtaken,
}

/// Everything but the controller and the log.
#[derive(Debug)]
pub struct Env {
    /// The world outside.
    pub world: World,
    /// What goes wrong.
    pub faults: Faults,
    /// A bug planted on purpose, to see that it is found.
    pub sabotage: Option<Sabotage>,
    history: Vec<String>,
}

impl Env {
    /// A world with its faults, before anything has happened.
    pub const fn new(world: World, faults: Faults, sabotage: Option<Sabotage>) -> Self {
        Self { world, faults, sabotage, history: Vec::new() }
    }

    /// The time of day.
    pub fn now(&self) -> Timestamp {
        self.world.now()
    }

    /// Writes a line of history.
    pub fn note(&mut self, what: impl AsRef<str>) {
        let seconds = self.world.elapsed.to_std().as_secs_f64();
        self.history.push(format!("{seconds:>10.3} s  {}", what.as_ref()));
    }

    /// The history so far, a line an entry.
    pub fn history(&self) -> &[String] {
        &self.history
    }

    /// A place at which the controller may die.
    ///
    /// # Errors
    /// It does.
    pub fn crash_point(&mut self, place: &'static str) -> Result<(), Stop> {
        if self.faults.crash(place) {
            self.note(format!("the controller dies {place}"));
            return Err(Stop::Crash(place));
        }
        Ok(())
    }

    /// Whether `fault` happens now; it is noted when it does.
    pub fn strikes(&mut self, fault: Fault) -> bool {
        let strikes = self.faults.strikes(fault);
        if strikes {
            self.note(format!("fault: {fault}"));
        }
        strikes
    }

    /// Whether this bug is planted.
    pub fn sabotaged(&self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }
}
