//! A rollout's events, each with its sentence.

use rollout::machine::{Event, Rollout, RolloutId, explain};
use store::Store;

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
        let event = recover::read(record)?;
        match (&mut rollout, &event) {
            (Some(rollout), _) => rollout.apply(record.at, &event),
            (None, Event::Created(created)) => rollout = Some(Rollout::created(record.at, created)),
            (None, _) => {}
        }
        let text = rollout.as_ref().map(|rollout| explain(rollout, &event)).unwrap_or_default();
        if record.seq > after {
            views.push(EventView {
                seq: record.seq,
                at: record.at,
                kind: record.kind.clone(),
                text,
                event,
            });
        }
    }
    if records.is_empty() { Err(EngineError::Unknown(id.to_string())) } else { Ok(views) }
}
