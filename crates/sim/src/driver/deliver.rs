//! Messages that are owed: made at least once, under a key that tells repeats apart.

use rollout::machine::{Input, Outcome, RolloutId, Settled};
use rollout::units::{Millis, Timestamp};
use store::log::Log as _;
use store::outbox::{self, Delivery, DeliveryState, SettleError};

use super::Controller;
use crate::Sabotage;
use crate::env::{Env, Stop};
use crate::faults::Fault;

/// After so many attempts nobody tries again.
const ATTEMPTS: u32 = 6;
/// The longest wait between two attempts.
const LONGEST_WAIT: Millis = Millis::from_secs(120);

impl Controller {
    /// Attempts every delivery that is due.
    pub(super) fn deliver(&mut self, env: &mut Env) -> Result<(), Stop> {
        if self.sweep {
            self.record_ends(env)?;
        }
        for delivery in self.due(env.now()) {
            self.attempt(env, &delivery)?;
        }
        Ok(())
    }

    /// Pending deliveries whose time has come, or lies further ahead than a wait ever is
    /// because the clock was put back.
    fn due(&self, now: Timestamp) -> Vec<Delivery> {
        let pending = self.log.reader().pending(0, u32::MAX).unwrap_or_default();
        let due = pending.into_iter().filter(|delivery| match delivery.state {
            DeliveryState::Pending { next_at, .. } => {
                next_at <= now || next_at > now.plus(LONGEST_WAIT)
            }
            DeliveryState::Done { .. } | DeliveryState::Dead { .. } => false,
        });
        due.collect()
    }

    fn attempt(&mut self, env: &mut Env, delivery: &Delivery) -> Result<(), Stop> {
        let outcome = send(env, delivery);
        env.crash_point("between a delivery and its outcome")?;
        match self.log.settle(&self.lease, &delivery.key, &outcome, env.now()) {
            Ok(()) => {}
            Err(SettleError::LostLease(_)) => return Err(Stop::Overtaken),
            Err(error) => {
                env.note(format!("settle: {error}"));
                self.sweep = true;
                return Ok(());
            }
        }
        env.crash_point("between an outcome and its event")?;
        let given_up = match outcome {
            outbox::Outcome::Retry { .. } => return Ok(()),
            outbox::Outcome::Done => None,
            outbox::Outcome::Dead { reason } => Some(reason),
        };
        self.end(env, delivery, given_up)
    }

    fn end(&mut self, env: &mut Env, of: &Delivery, given_up: Option<String>) -> Result<(), Stop> {
        let settled = Settled { key: of.key.clone(), given_up };
        let id = RolloutId(of.rollout.clone());
        if !self.feed(env, &id, Input::Outcome(Outcome::Delivered(settled)))? {
            self.sweep = true;
        }
        Ok(())
    }

    /// Ends of deliveries that did not reach the log of their rollout: a controller died in
    /// between.
    fn record_ends(&mut self, env: &mut Env) -> Result<(), Stop> {
        self.sweep = false;
        let ids: Vec<RolloutId> = self.rollouts.keys().cloned().collect();
        for id in ids {
            let known = self.log.reader().deliveries(&id.0).unwrap_or_default();
            for delivery in known {
                match &delivery.state {
                    DeliveryState::Pending { .. } => {}
                    DeliveryState::Done { .. } => self.end(env, &delivery, None)?,
                    DeliveryState::Dead { reason, .. } => {
                        self.end(env, &delivery, Some(reason.clone()))?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn send(env: &mut Env, delivery: &Delivery) -> outbox::Outcome {
    let lost = env.strikes(Fault::DeliveryFailed);
    if !lost {
        let key = key(env, delivery);
        env.world.inbox.received.push((key, delivery.body.clone()));
    }
    let unanswered = !lost && env.strikes(Fault::DeliveryUnanswered);
    if !lost && !unanswered {
        return outbox::Outcome::Done;
    }
    let reason = if lost { "connection refused" } else { "no answer within 5s" }.to_owned();
    if delivery.attempts + 1 >= ATTEMPTS {
        return outbox::Outcome::Dead { reason };
    }
    let wait = Millis::from_secs(1 << delivery.attempts).min(LONGEST_WAIT);
    outbox::Outcome::Retry { next_at: env.now().plus(wait), reason }
}

/// The delivery's key; the planted bug gives every message of a rollout the same.
fn key(env: &Env, delivery: &Delivery) -> String {
    if env.sabotaged(Sabotage::ReusedKey) {
        let rollout = &delivery.rollout;
        let first = env.world.inbox.received.iter().find(|(key, _)| key.starts_with(rollout));
        return first.map_or_else(|| delivery.key.clone(), |(key, _)| key.clone());
    }
    delivery.key.clone()
}
