//! What is written down about a release's process, so that the next controller finds it.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rollout::units::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

use crate::deployers::State;

/// One start of one release: first the intent, then which process it became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// What the process goes by: the release's id, with a number from the second on; the folder's
    /// name.
    pub(super) release: String,
    /// Which start of it this is, counted by its supervisor from 0.
    pub(super) attempt: u32,
    /// The port it was given.
    pub(super) port: u16,
    /// What only this process has in its environment, as `SLUICE_START`.
    pub(super) token: String,
    /// How long it may take to end, for a controller that does not know its plan.
    pub(super) drain: Millis,
    /// Whether it has answered its health check.
    pub(super) ready: bool,
    /// The process, once it is known.
    pub(super) process: Option<Identity>,
}

/// Names one process for ever, where a process id alone may be used again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Its process id, which is its group's too.
    pub(super) pid: i32,
    /// When it started, in clock ticks since the machine booted (field 22 of `/proc/<pid>/stat`).
    pub(super) start: u64,
    /// Which boot that was.
    pub(super) boot: String,
}

impl Record {
    /// Where the release serves.
    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The state of a process that runs.
    pub(super) fn observed(&self, now: Timestamp) -> State {
        match &self.process {
            Some(process) if self.ready => {
                State::Ready { address: self.address(), pid: process.pid }
            }
            _ => State::Starting { since: now },
        }
    }

    /// Writes it to the release's folder, whole and durable: another file, synced, renamed over.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        make(folder)?;
        let part = folder.join("process.json.part");
        let mut file = File::create(&part)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        std::fs::rename(&part, path(folder))?;
        sync(folder)
    }

    /// What is written in the release's folder, if anything.
    pub(super) fn read(folder: &Path) -> io::Result<Option<Self>> {
        let path = path(folder);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let understood = serde_json::from_slice(&bytes).map_err(|error| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("cannot understand {}: {error}", path.display()),
            )
        })?;
        Ok(Some(understood))
    }

    /// Removes it, durably. To be called only when no process of it is left.
    pub(super) fn remove(folder: &Path) -> io::Result<()> {
        match std::fs::remove_file(path(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => sync(folder),
        }
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("process.json")
}

/// Makes the release's folder, readable by nobody else: its output may hold anything.
fn make(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => folder.parent().map_or(Ok(()), sync),
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            release: "analyzer-7".to_owned(),
            attempt: 2,
            port: 4000,
            token: "t".to_owned(),
            drain: Millis(5),
            ready: false,
            process: None,
        }
    }

    #[test]
    fn a_record_is_read_as_written_and_gone_once_removed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("analyzer-7");
        record().write(&folder).unwrap();
        let process = Some(Identity { pid: 7, start: 8, boot: "b".to_owned() });
        let known = Record { process, ready: true, ..record() };
        known.write(&folder).unwrap();
        assert_eq!(Record::read(&folder).unwrap(), Some(known.clone()));
        let ready = State::Ready { address: "127.0.0.1:4000".to_owned(), pid: 7 };
        assert_eq!(known.observed(Timestamp(1)), ready);
        Record::remove(&folder).unwrap();
        Record::remove(&folder).unwrap();
        assert_eq!(Record::read(&folder).unwrap(), None);
    }

    #[test]
    fn a_record_that_cannot_be_understood_names_its_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("process.json"), "{").unwrap();
        let error = Record::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("process.json: EOF while parsing"), "{error}");
    }
}
