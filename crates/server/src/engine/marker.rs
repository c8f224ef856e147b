//! Rollouts that must go back, on record beside the log while the log cannot be written.
//!
//! One file a rollout, in the folder `going-back` of the state folder. Its name alone says that
//! the rollout goes back; what it holds says what demands it. A full disk takes a name more
//! readily than content, so a file that cannot be read, or is empty, is obeyed as well.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rollout::machine::{Actor, Command, Input, RolloutId};

/// The folder of these files.
#[derive(Clone, Debug)]
pub(super) struct Markers {
    folder: PathBuf,
}

impl Markers {
    /// The folder in the state folder `state`; made now, when the disk still has room for it.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn open(state: &Path) -> io::Result<Self> {
        let folder = state.join("going-back");
        fs::create_dir_all(&folder)?;
        File::open(state)?.sync_all()?;
        Ok(Self { folder })
    }

    /// Every rollout that must go back, and what demands it.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(super) fn read(&self) -> io::Result<BTreeMap<RolloutId, Input>> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let text = fs::read(self.folder.join(&name)).unwrap_or_default();
            let input = serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!(rollout = name, %error, "what demands a rollback cannot be read");
                unreadable()
            });
            found.insert(RolloutId(name), input);
        }
        Ok(found)
    }

    /// Puts down that a rollout must go back; when this answers, it outlives this process and
    /// a loss of power.
    ///
    /// # Errors
    /// Not even a name could be written.
    pub(super) fn keep(&self, id: &RolloutId, input: &Input) -> io::Result<()> {
        let path = self.folder.join(&id.0);
        File::options().create(true).append(true).open(&path)?;
        if let Err(error) = self.fill(id, &path, input) {
            tracing::warn!(rollout = %id, %error, "only that it goes back is kept, not why");
        }
        File::open(&self.folder)?.sync_all()
    }

    /// Whole or not at all: a new file takes the place of the empty one.
    fn fill(&self, id: &RolloutId, path: &Path, input: &Input) -> io::Result<()> {
        let fresh = self.folder.join(format!(".{id}"));
        let mut file = File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(input)?)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    }

    /// The log has it now, or there is nothing to go back from.
    ///
    /// # Errors
    /// It cannot be removed, and will be obeyed once more, which changes nothing.
    pub(super) fn remove(&self, id: &RolloutId) -> io::Result<()> {
        match fs::remove_file(self.folder.join(&id.0)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => File::open(&self.folder)?.sync_all(),
        }
    }
}

fn unreadable() -> Input {
    let why = "it was to go back when the log could not be written; why is not readable any more";
    let by = Actor { who: "sluice".to_owned(), via: "engine".to_owned() };
    Input::Command(Command::RollBack { why: why.to_owned() }, by)
}

#[cfg(test)]
mod tests {
    use rollout::machine::{Outcome, TripFacts};

    use super::*;

    #[test]
    fn what_demands_a_rollback_is_read_as_it_was_kept() {
        let state = tempfile::tempdir().unwrap();
        let markers = Markers::open(state.path()).unwrap();
        let trip = Input::Tripped(TripFacts {
            release: "shop-2".to_owned(),
            gate: "error_rate".to_owned(),
            requests: 9,
            bad: 8,
            evidence: 12.5,
            evidence_needed: 12.25,
            shut_after_us: Some(900),
        });
        let failed = Input::Outcome(Outcome::DeployFailed("it exited".to_owned()));
        let ids = ["shop-2", "desk-7"].map(|id| RolloutId(id.to_owned()));
        markers.keep(&ids[0], &failed).unwrap();
        markers.keep(&ids[0], &trip).unwrap();
        markers.keep(&ids[1], &failed).unwrap();
        let again = Markers::open(state.path()).unwrap();
        let [shop, desk] = ids.clone();
        assert_eq!(again.read().unwrap(), BTreeMap::from([(shop, trip), (desk, failed)]));
        for id in &ids {
            again.remove(id).unwrap();
        }
        again.remove(&ids[0]).unwrap();
        assert_eq!(again.read().unwrap(), BTreeMap::new());
    }

    #[test]
    fn a_name_without_content_is_obeyed() {
        let state = tempfile::tempdir().unwrap();
        let markers = Markers::open(state.path()).unwrap();
        File::create(state.path().join("going-back/shop-2")).unwrap();
        // The file that would take its place cannot be written.
        fs::create_dir(state.path().join("going-back/.shop-3")).unwrap();
        let id = RolloutId("shop-3".to_owned());
        markers.keep(&id, &Input::Tick).unwrap();
        let found = markers.read().unwrap();
        assert_eq!(found.len(), 2);
        for input in found.values() {
            let asks = matches!(input, Input::Command(Command::RollBack { .. }, _));
            assert!(asks, "{input:?}");
        }
    }
}
