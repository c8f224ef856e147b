//! One input, from the decision to the state: decide, append, apply.

use rollout::machine::{
    Actor, Command, Created, Event, Input, Request, Rollout, RolloutId, decide, deliveries,
};
use store::log::{Append, AppendError, Entry, Failure, Log as _};
use store::memory;
use store::outbox::Owed;

use super::{Controller, Live};
use crate::Sabotage;
use crate::env::{Env, Stop};
use crate::faults::Fault;

impl Controller {
    /// Lets the machine decide about `input` and makes what it decides a fact. True when it
    /// is one, or when nothing follows.
    pub(super) fn feed(
        &mut self,
        env: &mut Env,
        id: &RolloutId,
        input: Input,
    ) -> Result<bool, Stop> {
        let Some(rollout) = self.rollouts.get(id) else { return Ok(false) };
        let refused = match &input {
            Input::Command(command, by) => Some((command.clone(), by.clone())),
            _ => None,
        };
        let decided = decide(rollout, input, env.now());
        match (decided, refused) {
            (Ok(events), _) => self.record(env, id, &events),
            (Err(refusal), Some((command, by))) => {
                let why = refusal.message;
                self.record(env, id, &[Event::Refused { command, by, why }])
            }
            (Err(refusal), None) => {
                env.note(format!("refused what nobody asked for: {refusal}"));
                Ok(false)
            }
        }
    }

    /// Somebody asks something of a rollout.
    ///
    /// # Errors
    /// The controller died or was overtaken on the way.
    pub fn command(
        &mut self,
        env: &mut Env,
        id: &RolloutId,
        command: Command,
        by: Actor,
    ) -> Result<(), Stop> {
        self.feed(env, id, Input::Command(command, by))?;
        self.reconcile(env)
    }

    /// A new rollout, if the board admits it; what was waiting gives up its place. Answers
    /// the refusal's sentence otherwise.
    ///
    /// # Errors
    /// The controller died or was overtaken on the way.
    pub fn create(
        &mut self,
        env: &mut Env,
        request: &Request<'_>,
        created: impl FnOnce(RolloutId) -> Created,
    ) -> Result<Result<RolloutId, String>, Stop> {
        let admitted = match self.board.admit(request) {
            Ok(admitted) => admitted,
            Err(refusal) => return Ok(Err(refusal.message)),
        };
        let created = created(admitted.id.clone());
        let rollout = Rollout::created(env.now(), &created);
        let by = created.by.clone();
        let event = Event::Created(Box::new(created));
        if !self.write(env, 0, &[rollout], &[event])? {
            return Ok(Err("the log cannot be written".to_owned()));
        }
        env.crash_point("between a new rollout and the one it supersedes")?;
        if let Some(older) = admitted.supersedes {
            let command = Command::Supersede { by: admitted.id.clone() };
            self.feed(env, &older, Input::Command(command, by))?;
        }
        Ok(Ok(admitted.id))
    }

    /// Appends `events`, then applies them; true when they are facts.
    pub(super) fn record(
        &mut self,
        env: &mut Env,
        id: &RolloutId,
        events: &[Event],
    ) -> Result<bool, Stop> {
        let Some(rollout) = self.rollouts.get(id) else { return Ok(false) };
        if events.is_empty() {
            return Ok(true);
        }
        let mut after = rollout.clone();
        let mut steps = Vec::with_capacity(events.len());
        for event in events {
            after.apply(env.now(), event);
            steps.push(after.clone());
        }
        let expected = rollout.seq;
        self.write(env, expected, &steps, events)
    }

    fn write(
        &mut self,
        env: &mut Env,
        expected: u64,
        steps: &[Rollout],
        events: &[Event],
    ) -> Result<bool, Stop> {
        let Some(first) = steps.first() else { return Ok(true) };
        let id = first.id.clone();
        env.crash_point("before an append")?;
        if skips_append(env, events) {
            self.apply(env, steps, events);
            return Ok(true);
        }
        let append = Append {
            rollout: id.to_string(),
            expected,
            at: env.now(),
            entries: entries(steps, events),
        };
        if env.sabotaged(Sabotage::SentBeforeStored) {
            let owed = append.entries.iter().flat_map(|entry| &entry.owed);
            let sent: Vec<_> = owed.map(|owed| (owed.key.clone(), owed.body.clone())).collect();
            env.world.inbox.received.extend(sent);
        }
        self.arm(env);
        match self.log.append(&self.lease, append) {
            Ok(_) => {
                env.crash_point("between an append and its effect")?;
                self.apply(env, steps, events);
                Ok(true)
            }
            Err(AppendError::LostLease(_)) => Err(Stop::Overtaken),
            Err(AppendError::Failed(Failure::Unavailable(_))) => {
                self.sweep = true;
                Ok(false)
            }
            Err(error) => {
                env.note(format!("append: {error}; reading back"));
                self.sweep = true;
                let seq = steps.last().map_or(expected, |step| step.seq);
                Ok(self.read_back(env, &id)? >= seq)
            }
        }
    }

    /// Lets the append that follows go wrong, if it is to.
    fn arm(&mut self, env: &mut Env) {
        let kinds = [
            (Fault::CommitFailed, memory::Fault::Unavailable),
            (Fault::CommitLost, memory::Fault::UnknownBefore),
            (Fault::AnswerLost, memory::Fault::UnknownAfter),
        ];
        for (fault, injected) in kinds {
            if env.strikes(fault) {
                self.log.fail_next(injected);
                return;
            }
        }
    }

    /// Facts become state.
    pub(super) fn apply(&mut self, env: &mut Env, steps: &[Rollout], events: &[Event]) {
        for (step, event) in steps.iter().zip(events) {
            env.note(format!(
                "{} {}: {}",
                step.id,
                step.seq,
                rollout::machine::explain(step, event)
            ));
            self.board.apply(env.now(), step, event);
            self.remember(step);
            self.rollouts.insert(step.id.clone(), step.clone());
        }
    }

    /// Keeps a live state to be held against the log.
    pub(super) fn remember(&mut self, state: &Rollout) {
        let bytes = serde_json::to_vec(state).unwrap_or_default();
        self.live.push(Live { id: state.id.clone(), seq: state.seq, bytes });
    }
}

/// Events with what they owe.
fn entries(steps: &[Rollout], events: &[Event]) -> Vec<Entry> {
    let entry = |(step, event): (&Rollout, &Event)| Entry {
        kind: event.kind().to_owned(),
        body: serde_json::to_string(event).unwrap_or_default(),
        owed: deliveries(step, step.seq, event)
            .into_iter()
            .map(|it| Owed { key: it.key, receiver: it.receiver.to_string(), body: it.text })
            .collect(),
    };
    steps.iter().zip(events).map(entry).collect()
}

/// The planted bug of moving first and writing later.
fn skips_append(env: &Env, events: &[Event]) -> bool {
    env.sabotaged(Sabotage::ApplyWithoutAppend)
        && events.iter().any(|event| matches!(event, Event::StageStarted { .. }))
}
