//! Holds every step against the invariants: the log, what is live, the proxy and the receivers.

use std::collections::{BTreeMap, BTreeSet};

use rollout::machine::{Event, Rollout, RolloutId, deliveries};
use store::log::{Reader, Record};
use store::outbox::DeliveryState;

use crate::driver::{Controller, Live};
use crate::env::Env;
use crate::invariants::{self as is, Cap, Violation, ensure};
use crate::model::{Model, Place};
use crate::proxy::Push;

/// What the log has said so far, and what was seen around it.
#[derive(Debug, Default)]
pub struct Checker {
    position: u64,
    epoch: u64,
    replayed: BTreeMap<RolloutId, Rollout>,
    models: BTreeMap<RolloutId, Model>,
    /// Every state there ever was, as the log makes it.
    bytes: BTreeMap<(RolloutId, u64), Vec<u8>>,
    /// The most traffic each of these states allows.
    caps: BTreeMap<(RolloutId, u64), Cap>,
    owed: BTreeSet<String>,
    ended: BTreeSet<String>,
    received: BTreeMap<String, String>,
    messages: usize,
    held: Option<Push>,
}

impl Checker {
    /// Checks what has happened since the last time, given the states that were live
    /// meanwhile and the controller, if there is one.
    ///
    /// # Errors
    /// The first violation found.
    pub fn check(
        &mut self,
        env: &Env,
        reader: &dyn Reader,
        live: &[Live],
        controller: Option<&Controller>,
    ) -> Result<(), Violation> {
        self.read(env, reader)?;
        self.live(live)?;
        self.receivers(env)?;
        self.proxy(env)?;
        controller.map_or(Ok(()), |controller| {
            self.sent(controller)?;
            self.wakes(env, controller)
        })
    }

    /// How many events the log has.
    pub const fn events(&self) -> u64 {
        self.position
    }

    /// Every rollout as its referee sees it.
    pub const fn models(&self) -> &BTreeMap<RolloutId, Model> {
        &self.models
    }

    /// Every rollout as the log makes it.
    pub const fn rollouts(&self) -> &BTreeMap<RolloutId, Rollout> {
        &self.replayed
    }

    /// States that were live must be what the log makes of the same events.
    fn live(&self, states: &[Live]) -> Result<(), Violation> {
        states.iter().try_for_each(|Live { id, seq, bytes }| {
            is::i7_replay(id, *seq, bytes, self.bytes.get(&(id.clone(), *seq)))
        })
    }

    fn read(&mut self, env: &Env, reader: &dyn Reader) -> Result<(), Violation> {
        let records = reader.all(self.position, u32::MAX).unwrap_or_default();
        for record in &records {
            self.record(record)?;
        }
        let touched: BTreeSet<&String> = records.iter().map(|record| &record.rollout).collect();
        for id in touched {
            self.stored(reader, id)?;
            if let Some(model) = self.models.get(&RolloutId(id.clone())) {
                is::i2_counted_once(model, env.world.proxy.counts(&model.release).requests)?;
            }
        }
        Ok(())
    }

    fn record(&mut self, record: &Record) -> Result<(), Violation> {
        let id = RolloutId(record.rollout.clone());
        let last = self.replayed.get(&id).map_or(0, |rollout| rollout.seq);
        is::i9_one_writer(last, self.epoch, record)?;
        (self.position, self.epoch) = (record.position, record.epoch);
        let event: Event = serde_json::from_str(&record.body).map_err(|error| Violation {
            code: "I7",
            found: format!("event {} of {id} cannot be read: {error}", record.seq),
        })?;
        match (&event, self.replayed.get_mut(&id)) {
            (Event::Created(created), None) => {
                self.models.insert(id.clone(), Model::new(created));
                self.replayed.insert(id.clone(), Rollout::created(record.at, created));
            }
            (_, Some(rollout)) => rollout.apply(record.at, &event),
            (_, None) => {
                return Err(Violation { code: "I4", found: format!("{id} was not created") });
            }
        }
        self.judge(&id, record, &event)
    }

    fn judge(&mut self, id: &RolloutId, record: &Record, event: &Event) -> Result<(), Violation> {
        let (Some(model), Some(rollout)) = (self.models.get_mut(id), self.replayed.get(id)) else {
            return Ok(());
        };
        if record.seq > 1 {
            is::i17_paused(model, event)?;
            is::i4_moves(model, event)?;
            is::i2_evidence(model, event)?;
            model.take(record.at, event);
        }
        is::i1_weight(model, rollout)?;
        is::i5_back(model, rollout)?;
        if let Event::DeliverySettled(settled) = event {
            let first = self.ended.insert(settled.key.clone());
            ensure(first, "I10", || format!("{} ended twice", settled.key))?;
        }
        let place = (id.clone(), record.seq);
        self.owed.extend(deliveries(rollout, record.seq, event).into_iter().map(|it| it.key));
        self.bytes.insert(place.clone(), serde_json::to_vec(rollout).unwrap_or_default());
        self.caps.insert(place, Cap::of(model));
        Ok(())
    }

    fn stored(&self, reader: &dyn Reader, id: &str) -> Result<(), Violation> {
        let stored = reader.deliveries(id).unwrap_or_default();
        let mut stored: Vec<String> = stored.into_iter().map(|delivery| delivery.key).collect();
        stored.sort();
        let prefix = format!("{id}:");
        let owed = self.owed.iter().filter(|key| key.starts_with(&prefix));
        is::i10_stored(&owed.cloned().collect::<Vec<_>>(), &stored)
    }

    fn receivers(&mut self, env: &Env) -> Result<(), Violation> {
        let received = &env.world.inbox.received;
        for (key, text) in received.iter().skip(self.messages) {
            is::i10_received(key, text, self.received.get(key), self.owed.contains(key))?;
            self.received.insert(key.clone(), text.clone());
        }
        self.messages = received.len();
        Ok(())
    }

    fn proxy(&mut self, env: &Env) -> Result<(), Violation> {
        let Some(held) = env.world.proxy.held() else { return Ok(()) };
        is::i1_proxy(held, &self.caps)?;
        is::i5_proxy(held, self.held.as_ref())?;
        self.held = Some(held.clone());
        Ok(())
    }

    fn sent(&self, controller: &Controller) -> Result<(), Violation> {
        let Some(sent) = controller.sent() else { return Ok(()) };
        let model = sent.seen.as_ref().and_then(|(id, _)| self.models.get(id));
        model.map_or(Ok(()), |model| is::i1_sent(sent, model))
    }

    fn wakes(&self, env: &Env, controller: &Controller) -> Result<(), Violation> {
        let wakes = controller.wakes();
        let mut models = self.models.iter();
        models.try_for_each(|(id, model)| is::i18_wake(model, id, wakes.get(id), env.now()))
    }

    /// Whether every rollout is at an end or waits for a person, and nothing is owed.
    pub fn at_rest(&self, reader: &dyn Reader) -> bool {
        let waits_for_person = |model: &Model| model.paused || model.asked;
        let human = self.models.values().any(waits_for_person);
        let resting = |model: &Model| match model.place {
            Place::Over => true,
            Place::Waiting => human,
            Place::Stage(_) | Place::Bake => waits_for_person(model),
            Place::Deploying | Place::Back => false,
        };
        self.models.values().all(resting)
            && reader.pending(0, 1).is_ok_and(|pending| pending.is_empty())
    }

    /// What is left when nothing goes wrong any more: every delivery done or dead and on
    /// record, and the proxy where the log says it should be.
    ///
    /// # Errors
    /// The violation.
    pub fn rest(&self, env: &Env, reader: &dyn Reader) -> Result<(), Violation> {
        for id in self.models.keys() {
            for delivery in reader.deliveries(&id.0).unwrap_or_default() {
                let key = &delivery.key;
                let pending = matches!(delivery.state, DeliveryState::Pending { .. });
                ensure(!pending && self.ended.contains(key), "I10", || {
                    format!("{key} is {:?} and its end is not on record", delivery.state)
                })?;
                let done = matches!(delivery.state, DeliveryState::Done { .. });
                ensure(!done || self.received.contains_key(key), "I10", || {
                    format!("{key} is done and nobody received it")
                })?;
            }
        }
        let wanted: u32 = self.models.values().map(|model| model.cap().steps()).sum();
        let held = env.world.proxy.held().and_then(|push| push.canary.as_ref());
        let weight = held.map_or(0, |canary| canary.weight.steps());
        ensure(weight == wanted, "liveness", || {
            format!("the proxy holds {weight} steps for the canary, the log says {wanted}")
        })
    }
}
