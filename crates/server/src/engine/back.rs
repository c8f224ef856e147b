//! Going back, also while the log cannot be written.

use rollout::machine::{Actor, Command, Event, Input, RolloutId, State};
use rollout::units::Timestamp;

use super::core::Core;
use super::handle::EngineError;

/// A rollout that must go back, which is not written down yet.
pub(super) struct GoingBack {
    /// What demands it.
    pub(super) input: Input,
    /// It is marked in the state folder: a controller that is killed does not forget it.
    pub(super) marked: bool,
}

impl Core {
    /// Shuts the gate, then writes the rollback down. While that cannot be written, what
    /// demands it is remembered, here and beside the log: the canary's weight is zero for every
    /// proxy meanwhile, and nothing else happens to the rollout.
    pub(super) async fn go_back(
        &mut self,
        id: &RolloutId,
        input: Input,
        now: Timestamp,
        events: Vec<Event>,
    ) -> Result<usize, EngineError> {
        if let Some(rollout) = self.rollouts.get(id) {
            self.proxies.shut(&rollout.plan.service);
        }
        let count = events.len();
        let Err(error) = self.record(id, now, events).await else {
            self.gone_back(id).await;
            return Ok(count);
        };
        let why = match error {
            EngineError::Log(why) => why,
            error => error.to_string(),
        };
        let marked = false;
        self.going_back.entry(id.clone()).or_insert(GoingBack { input, marked });
        // Other proxies are told before a disk in trouble is asked again.
        self.push();
        let kept = self.mark(id).await;
        let forgotten = kept.err().map_or(String::new(), |error| {
            format!("; a controller that is killed before then forgets it ({error})")
        });
        let error = EngineError::Log(format!(
            "{why}; the canary is shut out, and that it goes back is written down as soon as that works{forgotten}"
        ));
        self.notice("log", format!("{id}: {error}"));
        Err(error)
    }

    /// Marks a rollout in the state folder, unless it is marked.
    async fn mark(&mut self, id: &RolloutId) -> std::io::Result<()> {
        let Some(back) = self.going_back.get_mut(id).filter(|back| !back.marked) else {
            return Ok(());
        };
        let (markers, name, input) = (self.markers.clone(), id.clone(), back.input.clone());
        let kept = tokio::task::spawn_blocking(move || markers.keep(&name, &input)).await;
        kept.map_err(std::io::Error::other).flatten()?;
        back.marked = true;
        Ok(())
    }

    /// The log has it: nothing is left to remember.
    async fn gone_back(&mut self, id: &RolloutId) {
        let Some(back) = self.going_back.remove(id) else { return };
        if !back.marked {
            return;
        }
        let (markers, name) = (self.markers.clone(), id.clone());
        let removed = tokio::task::spawn_blocking(move || markers.remove(&name)).await;
        if let Err(error) = removed.map_err(std::io::Error::other).flatten() {
            tracing::warn!(rollout = %id, %error, "its mark is left; it goes back only once");
        }
    }

    /// Tries again to write down that rollouts go back.
    pub(super) async fn retry_going_back(&mut self) {
        let wanted = self.going_back.iter().map(|(id, back)| (id.clone(), back.input.clone()));
        for (id, input) in wanted.collect::<Vec<_>>() {
            let written = self.feed_logged(&id, input).await;
            if written && !self.is_back(&id) {
                // What demanded it leads to nothing any more, a start that took too long by a
                // clock that was set back since. That it was to go back still stands.
                let why = "it was on its way back before".to_owned();
                let by = Actor { who: "sluice".to_owned(), via: "engine".to_owned() };
                self.feed_logged(&id, Input::Command(Command::RollBack { why }, by)).await;
            }
            if self.is_back(&id) {
                self.gone_back(&id).await;
            }
        }
    }

    /// Whether the log has it that a rollout goes back, or is over.
    fn is_back(&self, id: &RolloutId) -> bool {
        let Some(rollout) = self.rollouts.get(id) else { return true };
        rollout.is_over() || matches!(rollout.state, State::RollingBack { .. })
    }

    /// A rollout that must go back does nothing else first.
    pub(super) fn refuse_while_going_back(
        &self,
        id: &RolloutId,
        events: &[Event],
    ) -> Result<(), EngineError> {
        if events.is_empty() || !self.going_back.contains_key(id) {
            return Ok(());
        }
        Err(EngineError::Log(format!("{id} goes back, which is not written down yet")))
    }
}
