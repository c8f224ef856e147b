//! What a proxy keeps on disk: the snapshot it serves, and the gates it has shut.
//!
//! Both survive a crash: a file is written beside the old one, forced to the disk, and put in
//! its place. A gate that was shut stays shut across a restart until a snapshot says that the
//! stretch of traffic it was shut for is over.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rollout::route::Snapshot;
use serde::Serialize;
use serde::de::DeserializeOwned;
use traffic::TripReport;

/// The folder a proxy keeps things in.
#[derive(Debug)]
pub(crate) struct Keep {
    folder: PathBuf,
    /// Whether its lock is held, without which nothing is written.
    held: bool,
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the state folder {} cannot be used: {error}", folder.display())]
pub(crate) struct KeepError {
    folder: PathBuf,
    error: io::Error,
}

impl Keep {
    /// Opens the folder, which is made when there is none. Nothing is written before
    /// [`Keep::hold`].
    ///
    /// # Errors
    /// A folder that cannot be made.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, KeepError> {
        match fs::create_dir_all(&folder) {
            Ok(()) => Ok(Self { folder, held: false }),
            Err(error) => Err(KeepError { folder, error }),
        }
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its lock is held: what is kept is written from now on.
    pub(crate) const fn hold(&mut self) {
        self.held = true;
    }

    /// Its lock is another's from now on.
    pub(super) const fn let_go(&mut self) {
        self.held = false;
    }

    /// The snapshot served last; `None` when there is none that can be read.
    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        self.read(SNAPSHOT)
    }

    /// Keeps the snapshot served now.
    pub(super) fn save_snapshot(&self, snapshot: &Snapshot) {
        self.write(SNAPSHOT, snapshot);
    }

    /// The gates shut in stretches of traffic that are not over.
    pub(super) fn trips(&self) -> Vec<TripReport> {
        self.read(TRIPS).unwrap_or_default()
    }

    /// Keeps them.
    pub(super) fn save_trips(&self, trips: &[TripReport]) {
        self.write(TRIPS, trips);
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let path = self.folder.join(name);
        let read = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            read => read,
        };
        match read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(Into::into)) {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::error!(file = %path.display(), %error, "what was kept cannot be read");
                None
            }
        }
    }

    /// What is served matters more than what is kept: a full disk is told, and nothing else.
    fn write<T: Serialize + ?Sized>(&self, name: &str, value: &T) {
        if !self.held {
            return;
        }
        let written = serde_json::to_vec(value)
            .map_err(Into::into)
            .and_then(|bytes| replace(&self.folder, name, &bytes));
        if let Err(error) = written {
            let folder = self.folder.display();
            tracing::error!(%folder, name, %error, "it cannot be kept: a restart would not know it");
        }
    }
}

const SNAPSHOT: &str = "snapshot.json";
const TRIPS: &str = "trips.json";

/// Puts a file with `bytes` in the place of `name`, whole or not at all.
fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let fresh = folder.join(format!("{name}.new"));
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, folder.join(name))?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollout::route::Generation;

    #[test]
    fn what_was_kept_last_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut keep = Keep::open(folder.path().join("proxy")).unwrap();
        keep.hold();
        assert_eq!(keep.snapshot(), None);
        for seq in 1..3 {
            let generation = Generation { epoch: 4, seq };
            keep.save_snapshot(&Snapshot { generation, services: Vec::new() });
        }
        assert_eq!(keep.snapshot().unwrap().generation, Generation { epoch: 4, seq: 2 });
    }

    #[test]
    fn a_file_that_makes_no_sense_is_taken_for_none() {
        let folder = tempfile::tempdir().unwrap();
        let keep = Keep::open(folder.path().to_owned()).unwrap();
        fs::write(folder.path().join(SNAPSHOT), "{\"generation\":").unwrap();
        assert_eq!(keep.snapshot(), None);
        fs::write(folder.path().join(TRIPS), "[]").unwrap();
        assert_eq!(keep.trips(), []);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Keep::open(file.join("inside")).unwrap_err().to_string();
        assert!(error.contains("file/inside"), "{error}");
    }
}
