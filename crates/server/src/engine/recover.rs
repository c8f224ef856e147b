//! From the log to the state: what a start does after anything, kill -9 included.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry::{Occupied, Vacant};
use std::path::Path;

use rollout::machine::{Board, Event, Rollout, RolloutId, explain};
use store::Store;
use store::anchor::Anchoring;
use store::log::Record;
use store::trail::Trail;

use super::back::GoingBack;
use super::handle::EngineError;
use super::marker::Markers;

/// Every rollout of the log, and the board they make.
pub(super) struct Recovered {
    pub(super) rollouts: BTreeMap<RolloutId, Rollout>,
    /// Why each rollout last moved, one sentence.
    pub(super) last_moves: BTreeMap<RolloutId, String>,
    pub(super) board: Board,
    /// Rollouts that cannot be replayed, and why. Their services stay with what is stable.
    pub(super) unreadable: BTreeMap<RolloutId, String>,
}

/// How many records are read at a time.
const PAGE: u32 = 1_000;

/// Replays the whole log, in the order it was written, and walks its chain. A chain that is broken
/// does not keep it from being replayed: the way back must work from a damaged log too.
pub(super) async fn recover(store: &Store) -> Result<(Recovered, Trail), EngineError> {
    let failed = |error: &dyn std::fmt::Display| EngineError::Log(error.to_string());
    let accepted = crate::audit::accepted(store).await.map_err(|error| failed(&error))?;
    let mut trail = Trail::new(accepted);
    let mut recovered = Recovered {
        rollouts: BTreeMap::new(),
        last_moves: BTreeMap::new(),
        board: Board::default(),
        unreadable: BTreeMap::new(),
    };
    let mut after = 0;
    loop {
        let page = store.all(after, PAGE).await.map_err(|error| failed(&error))?;
        let Some(last) = page.last() else { return Ok((recovered, trail)) };
        after = last.position;
        for record in &page {
            trail.take(record);
            if let Err(error) = recovered.take(record) {
                recovered.set_aside(record, &error);
            }
        }
    }
}

impl Recovered {
    /// One rollout that cannot be replayed must not keep the others from going back.
    fn set_aside(&mut self, record: &Record, error: &EngineError) {
        let id = RolloutId(record.rollout.clone());
        self.rollouts.remove(&id);
        self.unreadable.entry(id).or_insert_with(|| error.to_string());
    }

    /// Takes one record in, after all that came before it.
    pub(super) fn take(&mut self, record: &Record) -> Result<(), EngineError> {
        let event: Event = read(record)?;
        let id = RolloutId(record.rollout.clone());
        let after = match (self.rollouts.entry(id.clone()), &event) {
            (Occupied(known), _) => {
                let rollout = known.into_mut();
                rollout.apply(record.at, &event);
                rollout
            }
            (Vacant(fresh), Event::Created(created)) => {
                fresh.insert(Rollout::created(record.at, created))
            }
            (Vacant(_), _) => {
                return Err(EngineError::Log(format!(
                    "rollout {id} begins with {} at position {}, not with its creation",
                    record.kind, record.position
                )));
            }
        };
        // What the log says its number is: after a gap, counting would fall behind it.
        after.seq = record.seq;
        self.board.apply(record.at, after, &event);
        if moves(&event) {
            self.last_moves.insert(id, explain(after, &event));
        }
        Ok(())
    }
}

/// The event a record holds.
pub(super) fn read(record: &Record) -> Result<Event, EngineError> {
    serde_json::from_str(&record.body).map_err(|error| {
        EngineError::Log(format!(
            "event {} of {} cannot be read by this version of sluice: {error}",
            record.seq, record.rollout
        ))
    })
}

/// Whether an event is a move people want to know the reason of, or only a count or a note.
pub(super) const fn moves(event: &Event) -> bool {
    !matches!(
        event,
        Event::BlockObserved { .. } | Event::DeliverySettled(_) | Event::Refused { .. }
    )
}

/// What the controller before this one could not write down any more: rollouts that must go
/// back. Those that have, or that the log does not know, are forgotten.
pub(super) fn going_back(
    state: &Path,
    recovered: &Recovered,
) -> Result<(Markers, BTreeMap<RolloutId, GoingBack>), EngineError> {
    let failed = |error: std::io::Error| {
        let folder = state.display();
        EngineError::Invalid(format!("what must go back cannot be read in {folder}: {error}"))
    };
    let markers = Markers::open(state).map_err(failed)?;
    let mut wanted = BTreeMap::new();
    for (id, input) in markers.read().map_err(failed)? {
        if recovered.rollouts.get(&id).is_some_and(|rollout| !rollout.is_over()) {
            tracing::warn!(rollout = %id, "goes back, which was not written down before");
            wanted.insert(id, GoingBack { input, marked: true });
        } else if let Err(error) = markers.remove(&id) {
            tracing::warn!(rollout = %id, %error, "its mark cannot be removed");
        }
    }
    Ok((markers, wanted))
}

/// Why nothing may advance: the log does not reach as far as its anchor says it did, nobody knows
/// how far it did, or its chain is broken.
pub(super) async fn damage(store: &Store, trail: &Trail) -> Result<Option<String>, EngineError> {
    let anchor = store.anchoring().await.map_err(|error| EngineError::Log(error.to_string()))?;
    let lost = (anchor != Anchoring::Whole).then(|| format!("{anchor}: events may be lost"));
    let Some(found) = trail.broken().map(ToString::to_string).or(lost) else {
        return Ok(None);
    };
    tracing::error!(found, "nothing advances until an operator has looked");
    Ok(Some(format!(
        "{found}, so nothing advances; going back works. Look with `sluice audit verify`; `sluice audit accept` goes on from what is left"
    )))
}
