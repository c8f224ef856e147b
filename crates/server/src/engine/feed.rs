//! One input, from the decision to the state: decide, append, apply.

use std::collections::BTreeMap;

use rollout::machine::{Event, Input, Refusal, Rollout, RolloutId, decide, deliveries, explain};
use rollout::units::Timestamp;
use store::log::{Append, AppendError, Entry, Failure};
use store::outbox::Owed;

use super::core::Core;
use super::handle::EngineError;
use super::recover::{Recovered, moves};

impl Core {
    /// Lets the machine decide about `input` and makes what it decides a fact. Answers how
    /// many events that were.
    ///
    /// # Errors
    /// A refusal, which is written down as well; or that the log cannot be written, and then
    /// nothing has changed but, on the way back, a gate that was shut and stays so.
    pub(super) async fn feed(
        &mut self,
        id: &RolloutId,
        input: Input,
    ) -> Result<usize, EngineError> {
        let Some(rollout) = self.rollouts.get(id) else {
            return Err(EngineError::Unknown(id.to_string()));
        };
        let now = self.clock.now();
        let decided = decide(rollout, input.clone(), now);
        match decided.and_then(|events| self.hold_if_frozen(events)) {
            Ok(events) if events.iter().any(is_rollback) => {
                self.go_back(id, input, now, events).await
            }
            Ok(events) => {
                self.refuse_while_going_back(id, &events)?;
                let count = events.len();
                self.record(id, now, events).await?;
                Ok(count)
            }
            Err(refusal) => {
                if let Input::Command(command, by) = input {
                    let why = refusal.message.clone();
                    self.record(id, now, vec![Event::Refused { command, by, why }]).await?;
                }
                Err(refusal.into())
            }
        }
    }

    /// A log that lost its end, or was changed, may have lost a rollback: until an operator has looked, nothing
    /// goes on. Counting and going back are as free as ever.
    fn hold_if_frozen(&self, events: Vec<Event>) -> Result<Vec<Event>, Refusal> {
        let Some(why) = &self.frozen else { return Ok(events) };
        let (advances, rest): (Vec<Event>, Vec<Event>) = events.into_iter().partition(is_advance);
        if rest.is_empty() && !advances.is_empty() {
            return Err(Refusal { code: "frozen", message: why.clone() });
        }
        Ok(rest)
    }

    /// Appends `events`, which happened at `at`, then applies them.
    pub(super) async fn record(
        &mut self,
        id: &RolloutId,
        at: Timestamp,
        events: Vec<Event>,
    ) -> Result<(), EngineError> {
        if events.is_empty() {
            return Ok(());
        }
        let Some(rollout) = self.rollouts.get(id) else {
            return Err(EngineError::Unknown(id.to_string()));
        };
        let mut after = rollout.clone();
        let mut steps = Vec::with_capacity(events.len());
        for event in &events {
            after.apply(at, event);
            steps.push(after.clone());
        }
        let written = self.append(at, rollout.seq, &steps, &events).await;
        self.acknowledge(id, written).await?;
        for (step, event) in steps.iter().zip(&events) {
            self.board.apply(at, step, event);
            if moves(event) {
                self.last_moves.insert(id.clone(), explain(step, event));
            }
        }
        self.settle_in(id, after);
        Ok(())
    }

    /// Writes events and what they owe in one transaction, with the time they are applied
    /// with: replay must meet the same.
    pub(super) async fn append(
        &self,
        at: Timestamp,
        expected: u64,
        steps: &[Rollout],
        events: &[Event],
    ) -> Result<(), AppendError> {
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
        let append = Append { rollout: first.id.to_string(), expected, at, entries };
        self.store.append(&self.lease, append).await?;
        if owes {
            self.owed.notify_one();
        }
        Ok(())
    }

    /// What became of an append. When the log may hold more than is known here, the rollout is
    /// read again, so that the next decision starts from the truth; when another controller
    /// drives, this one stops.
    ///
    /// # Errors
    /// The append failed, or nobody knows; what was to be written is not applied.
    pub(super) async fn acknowledge(
        &mut self,
        id: &RolloutId,
        written: Result<(), AppendError>,
    ) -> Result<(), EngineError> {
        let Err(error) = written else {
            self.notices.remove("log");
            return Ok(());
        };
        match &error {
            AppendError::LostLease(_) => self.overtaken = true,
            AppendError::Conflict { .. } | AppendError::Failed(Failure::Unknown(_)) => {
                self.read_again(id).await;
            }
            AppendError::Invalid(_) | AppendError::Failed(Failure::Unavailable(_)) => {}
        }
        Err(EngineError::Log(error.to_string()))
    }

    /// Applies what the log holds of a rollout beyond what is known here. If it cannot be read
    /// either, the next append conflicts, and it is tried again.
    async fn read_again(&mut self, id: &RolloutId) {
        let known = self.rollouts.get(id).map_or(0, |rollout| rollout.seq);
        let Ok(records) = self.store.events(&id.0, known).await else { return };
        let mut recovered = Recovered {
            rollouts: std::mem::take(&mut self.rollouts),
            last_moves: std::mem::take(&mut self.last_moves),
            board: std::mem::take(&mut self.board),
            unreadable: BTreeMap::new(),
        };
        let taken = records.iter().try_for_each(|record| recovered.take(record));
        self.rollouts = recovered.rollouts;
        self.last_moves = recovered.last_moves;
        self.board = recovered.board;
        if let Err(error) = taken {
            self.notice("log", error.to_string());
        }
        // Nobody watching is no error.
        let _ = self.changes.send(id.clone());
    }

    /// The new state takes the old one's place, and whoever watches is told.
    pub(super) fn settle_in(&mut self, id: &RolloutId, after: Rollout) {
        self.rollouts.insert(id.clone(), after);
        // Nobody watching is no error.
        let _ = self.changes.send(id.clone());
    }
}

fn json(value: &impl serde::Serialize) -> Result<String, AppendError> {
    serde_json::to_string(value).map_err(|error| AppendError::Invalid(error.to_string()))
}

const fn is_rollback(event: &Event) -> bool {
    matches!(event, Event::RollbackStarted { .. })
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
