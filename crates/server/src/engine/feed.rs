//! One input, from the decision to the state: decide, append, apply.

use rollout::machine::{Event, Input, Rollout, RolloutId, decide, deliveries, explain};
use store::log::{Append, AppendError, Entry};
use store::outbox::Owed;

use super::core::Core;
use super::handle::EngineError;
use super::recover::moves;

impl Core {
    /// Lets the machine decide about `input` and makes what it decides a fact. Answers how
    /// many events that were.
    ///
    /// # Errors
    /// A refusal, which is written down as well; or that the log cannot be written, and then
    /// nothing has changed but, on the way back, a gate that was shut.
    pub(super) async fn feed(
        &mut self,
        id: &RolloutId,
        input: Input,
    ) -> Result<usize, EngineError> {
        let Some(rollout) = self.rollouts.get(id) else {
            return Err(EngineError::Unknown(id.to_string()));
        };
        let refused = match &input {
            Input::Command(command, by) => Some((command.clone(), by.clone())),
            _ => None,
        };
        match decide(rollout, input, self.clock.now()) {
            Ok(events) => {
                let events = self.hold_if_frozen(events)?;
                let count = events.len();
                self.record(id, events).await?;
                Ok(count)
            }
            Err(refusal) => {
                if let Some((command, by)) = refused {
                    let why = refusal.message.clone();
                    self.record(id, vec![Event::Refused { command, by, why }]).await?;
                }
                Err(refusal.into())
            }
        }
    }

    /// A log that lost its end may have lost a rollback: until an operator has looked, nothing
    /// goes on. Counting and going back are as free as ever.
    fn hold_if_frozen(&self, events: Vec<Event>) -> Result<Vec<Event>, EngineError> {
        let Some(why) = &self.frozen else { return Ok(events) };
        let (advances, rest): (Vec<Event>, Vec<Event>) = events.into_iter().partition(is_advance);
        if rest.is_empty() && !advances.is_empty() {
            return Err(EngineError::Invalid(why.clone()));
        }
        Ok(rest)
    }

    /// Appends `events`, then applies them. On the way back the gate is shut first.
    pub(super) async fn record(
        &mut self,
        id: &RolloutId,
        events: Vec<Event>,
    ) -> Result<(), EngineError> {
        if events.is_empty() {
            return Ok(());
        }
        let Some(rollout) = self.rollouts.get(id) else {
            return Err(EngineError::Unknown(id.to_string()));
        };
        if events.iter().any(|event| matches!(event, Event::RollbackStarted { .. })) {
            self.proxies.shut(&rollout.plan.service);
        }
        let at = self.clock.now();
        let mut after = rollout.clone();
        let mut steps = Vec::with_capacity(events.len());
        for event in &events {
            after.apply(at, event);
            steps.push(after.clone());
        }
        self.append(rollout.seq, &steps, &events).await?;
        for (step, event) in steps.iter().zip(&events) {
            self.board.apply(at, step, event);
            if moves(event) {
                self.last_moves.insert(id.clone(), explain(step, event));
            }
        }
        self.settle_in(id, after);
        Ok(())
    }

    /// Writes events and what they owe in one transaction.
    pub(super) async fn append(
        &self,
        expected: u64,
        steps: &[Rollout],
        events: &[Event],
    ) -> Result<(), EngineError> {
        let Some(first) = steps.first() else { return Ok(()) };
        let mut entries = Vec::with_capacity(events.len());
        for (step, event) in steps.iter().zip(events) {
            let mut owed = Vec::new();
            for delivery in deliveries(step, step.seq, event) {
                owed.push(Owed {
                    key: delivery.key.clone(),
                    receiver: delivery.receiver.to_string(),
                    body: json(&delivery)?,
                });
            }
            entries.push(Entry { kind: event.kind().to_owned(), body: json(event)?, owed });
        }
        let owes = entries.iter().any(|entry| !entry.owed.is_empty());
        let append =
            Append { rollout: first.id.to_string(), expected, at: self.clock.now(), entries };
        self.store.append(&self.lease, append).await.map_err(log_error)?;
        if owes {
            self.owed.notify_one();
        }
        Ok(())
    }

    /// The new state takes the old one's place, and whoever watches is told.
    pub(super) fn settle_in(&mut self, id: &RolloutId, after: Rollout) {
        self.rollouts.insert(id.clone(), after);
        // Nobody watching is no error.
        let _ = self.changes.send(id.clone());
    }
}

fn json(value: &impl serde::Serialize) -> Result<String, EngineError> {
    serde_json::to_string(value).map_err(|error| EngineError::Log(error.to_string()))
}

#[expect(clippy::needless_pass_by_value, reason = "it is the error of a map_err")]
fn log_error(error: AppendError) -> EngineError {
    EngineError::Log(error.to_string())
}

/// Whether an event lets more users meet the canary, or makes it stable.
const fn is_advance(event: &Event) -> bool {
    matches!(
        event,
        Event::Began { .. }
            | Event::StageStarted { .. }
            | Event::BakeStarted { .. }
            | Event::Promoted { .. }
    )
}
