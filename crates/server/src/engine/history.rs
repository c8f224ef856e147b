//! A rollout's events, each with its sentence.

use std::collections::{BTreeMap, VecDeque};

use rollout::machine::{Event, Rollout, RolloutId, explain};
use store::Store;
use store::log::Record;
use tokio::sync::Mutex;

use super::handle::EngineError;
use super::recover;
use crate::view::EventView;

/// The events after number `after`. All are read, because a sentence needs the state it was
/// true in.
pub(super) async fn read(
    store: &Store,
    id: &RolloutId,
    after: u64,
) -> Result<Vec<EventView>, EngineError> {
    let records =
        store.events(&id.0, 0).await.map_err(|error| EngineError::Log(error.to_string()))?;
    let mut rollout: Option<Rollout> = None;
    let mut views = Vec::new();
    for record in &records {
        let view = view(&mut rollout, record)?;
        if record.seq > after {
            views.push(view);
        }
    }
    if records.is_empty() { Err(EngineError::Unknown(id.to_string())) } else { Ok(views) }
}

/// Takes one record in; what people see of it.
fn view(rollout: &mut Option<Rollout>, record: &Record) -> Result<EventView, EngineError> {
    let event = recover::read(record)?;
    match (&mut *rollout, &event) {
        (Some(rollout), _) => rollout.apply(record.at, &event),
        (None, Event::Created(created)) => *rollout = Some(Rollout::created(record.at, created)),
        (None, _) => {}
    }
    let text = rollout.as_ref().map(|rollout| explain(rollout, &event)).unwrap_or_default();
    Ok(EventView { seq: record.seq, at: record.at, kind: record.kind.clone(), text, event })
}

/// How many moves of a rollout are kept.
const KEPT: usize = 32;

/// Rollouts as far as their events have been read, with their last moves: a page that is
/// looked at all the time must not read the whole log each time.
#[derive(Default)]
pub(super) struct Replays {
    known: Mutex<BTreeMap<RolloutId, Replay>>,
}

#[derive(Default)]
struct Replay {
    rollout: Option<Rollout>,
    moves: VecDeque<EventView>,
}

impl Replays {
    /// The last events of a rollout but its windows of traffic, the oldest first.
    pub(super) async fn moves(
        &self,
        store: &Store,
        id: &RolloutId,
    ) -> Result<Vec<EventView>, EngineError> {
        let mut known = self.known.lock().await;
        let after = known.get(id).and_then(|replay| replay.rollout.as_ref());
        let after = after.map_or(0, |rollout| rollout.seq);
        let records = store.events(&id.0, after).await;
        let records = records.map_err(|error| EngineError::Log(error.to_string()))?;
        if after == 0 && records.is_empty() {
            return Err(EngineError::Unknown(id.to_string()));
        }
        let replay = known.entry(id.clone()).or_default();
        for record in &records {
            let view = view(&mut replay.rollout, record)?;
            if !matches!(view.event, Event::BlockObserved { .. }) {
                replay.moves.push_back(view);
            }
            if replay.moves.len() > KEPT {
                replay.moves.pop_front();
            }
        }
        Ok(replay.moves.iter().cloned().collect())
    }
}
