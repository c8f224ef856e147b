//! The log as a killed controller left it.

use std::path::Path;

use rollout::machine::{Event, Rollout};
use store::Store;

use super::Place;

/// A copy of the log. The original stays as it is, so that the next controller meets exactly
/// what the kill left behind.
pub(crate) struct Log {
    /// The rollout that was written to last, as replayed.
    pub(crate) last: Option<Rollout>,
}

impl Log {
    /// Copies the log, verifies its chain and its anchor, and replays it.
    pub(crate) async fn left_in(place: &Place) -> Self {
        let copy = tempfile::tempdir().unwrap();
        copy_files(&place.state(), copy.path());
        let store = Store::open(&copy.path().join("sluice.sqlite")).unwrap();
        let audit = store.verify().await.unwrap();
        assert!(audit.is_whole(), "{audit:?}");
        let mut log = Self { last: None };
        for id in store.rollouts().await.unwrap() {
            let rollout = replay(&store, &id).await;
            let newer = log.last.as_ref().is_none_or(|last| last.created_at <= rollout.created_at);
            if newer && !rollout.is_waiting() {
                log.last = Some(rollout);
            }
        }
        store.close().await;
        log
    }
}

async fn replay(store: &Store, id: &str) -> Rollout {
    let mut rollout: Option<Rollout> = None;
    for record in store.events(id, 0).await.unwrap() {
        let event: Event = serde_json::from_str(&record.body).unwrap();
        match (&mut rollout, &event) {
            (Some(rollout), _) => rollout.apply(record.at, &event),
            (None, Event::Created(created)) => rollout = Some(Rollout::created(record.at, created)),
            (None, _) => panic!("{id} begins with {}", record.kind),
        }
    }
    rollout.unwrap()
}

/// The files of a folder, without the folders in it.
fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
