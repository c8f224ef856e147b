//! The controller: the real machine over the real log, one step at a time.
//!
//! It keeps the order of the real engine: decide, append, apply, reconcile, deliver. Between
//! any two of these it may die ([`Env::crash_point`]); what it held in memory is gone then, and
//! [`Controller::start`] has the log alone.

mod deliver;
mod feed;
mod gather;
mod reconcile;
mod recover;

use std::collections::BTreeMap;

use rollout::machine::{Board, Rollout, RolloutId, next_wake};
use rollout::units::{Millis, Timestamp};
use store::lease::Lease;
use store::log::{Log as _, Reader};
use store::memory::MemoryLog;

use self::gather::Window;
use crate::Sabotage;
use crate::env::{Env, Stop};
use crate::proxy::Push;

/// How long a lease is held without being renewed.
pub(crate) const LEASE: Millis = Millis::from_secs(15);
/// A wake-up or a delivery further away than anybody would set it: the clock has jumped.
const FARTHEST_WAKE: Millis = Millis::from_secs(30);

/// A state that was live in a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// The rollout.
    pub id: RolloutId,
    /// Its last event then.
    pub seq: u64,
    /// The state, as JSON.
    pub bytes: Vec<u8>,
}

/// One life of a controller.
#[derive(Debug)]
pub struct Controller {
    log: MemoryLog,
    lease: Lease,
    rollouts: BTreeMap<RolloutId, Rollout>,
    board: Board,
    windows: BTreeMap<RolloutId, Window>,
    wakes: BTreeMap<RolloutId, Timestamp>,
    pushes: u64,
    sent: Option<Push>,
    /// Ends of deliveries may be missing in the log of their rollout.
    sweep: bool,
    live: Vec<Live>,
}

impl Controller {
    /// Looks at the world once, and does what follows.
    ///
    /// # Errors
    /// It died or was overtaken on the way.
    pub fn step(&mut self, env: &mut Env) -> Result<(), Stop> {
        self.renew(env)?;
        self.hear_trips(env)?;
        self.reconcile(env)?;
        self.outcomes(env)?;
        self.gather(env)?;
        self.give_turns(env)?;
        self.reconcile(env)?;
        self.deliver(env)?;
        self.set_wakes(env);
        Ok(())
    }

    fn renew(&mut self, env: &Env) -> Result<(), Stop> {
        self.lease = self.log.renew(&self.lease, LEASE, env.now()).map_err(|_| Stop::Overtaken)?;
        Ok(())
    }

    /// The guard's finding comes before everything else.
    fn hear_trips(&mut self, env: &mut Env) -> Result<(), Stop> {
        let Some(facts) = env.world.proxy.shut().cloned() else { return Ok(()) };
        let active = self.rollouts.values().find(|rollout| rollout.release.id == facts.release);
        if let Some(id) = active.map(|rollout| rollout.id.clone()) {
            self.feed(env, &id, rollout::machine::Input::Tripped(facts))?;
        }
        Ok(())
    }

    /// Every unfinished rollout has one wake-up. One that is set stays until it has come, or
    /// a rollout that is looked at often would never be woken.
    fn set_wakes(&mut self, env: &Env) {
        let now = env.now();
        let wakes = self.rollouts.values().filter_map(|rollout| {
            let next = next_wake(rollout, now)?;
            let set = self.wakes.get(&rollout.id).filter(|_| !self.is_due(&rollout.id, now));
            Some((rollout.id.clone(), set.map_or(next, |set| next.min(*set))))
        });
        self.wakes = wakes.collect();
        if env.sabotaged(Sabotage::ForgottenWake) {
            self.wakes.pop_last();
        }
    }

    /// Whether a rollout is to be looked at: its wake-up has come, was never set, or lies
    /// further ahead than one is ever set, because the clock was put back.
    fn is_due(&self, id: &RolloutId, now: Timestamp) -> bool {
        self.wakes.get(id).is_none_or(|at| *at <= now || *at > now.plus(FARTHEST_WAKE))
    }

    fn unfinished(&self) -> Vec<RolloutId> {
        self.rollouts.values().filter(|it| !it.is_over()).map(|it| it.id.clone()).collect()
    }

    /// Every rollout as this controller has it.
    pub const fn rollouts(&self) -> &BTreeMap<RolloutId, Rollout> {
        &self.rollouts
    }

    /// What it knows across rollouts.
    pub const fn board(&self) -> &Board {
        &self.board
    }

    /// When it looks at each rollout next.
    pub const fn wakes(&self) -> &BTreeMap<RolloutId, Timestamp> {
        &self.wakes
    }

    /// What it told the proxy last.
    pub const fn sent(&self) -> Option<&Push> {
        self.sent.as_ref()
    }

    /// The states that were live since this was last asked, in order.
    pub fn take_live(&mut self) -> Vec<Live> {
        std::mem::take(&mut self.live)
    }

    /// Another process at the same log.
    pub fn connect(&self) -> MemoryLog {
        self.log.connect()
    }

    /// A reader of its log.
    pub fn reader(&self) -> Box<dyn Reader> {
        self.log.reader()
    }
}
