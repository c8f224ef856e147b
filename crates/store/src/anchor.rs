//! The anchor: the end of the log, written down outside the database.
//!
//! A hash chain cut short is still a valid chain, and one flipped bit in a write-ahead log
//! silently drops every event after it. The anchor remembers how far the log reached. It trails
//! the log by a moment, so it may be behind, but a log that is behind its anchor has lost events.
//!
//! The file holds one line: the position, a space, the hash in hexadecimal.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::chain::{Hash, Tail};
use crate::log::Failure;

/// What comparing a log with its anchor showed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Anchoring {
    /// The log holds what the anchor says.
    #[error("the log holds what its anchor says")]
    Whole,
    /// The log has events, but nobody remembers how many it had.
    #[error("the log reaches position {} but its anchor is missing", found.position)]
    Missing {
        /// The end of the log.
        found: Tail,
    },
    /// The log is shorter than it was: acknowledged events are lost.
    #[error("the log reached position {} and now ends at {}", anchor.position, found.position)]
    Truncated {
        /// The end the log once had.
        anchor: Tail,
        /// The end it has.
        found: Tail,
    },
    /// The log holds another event than it did: it was rewritten, or is another log.
    #[error("the event at position {} had the hash {} and now has {found}", anchor.position, anchor.hash)]
    Replaced {
        /// The end the log once had.
        anchor: Tail,
        /// The hash now at that position.
        found: Hash,
    },
    /// The anchor is there but cannot be understood.
    #[error("the anchor is unreadable: {0}")]
    Unreadable(String),
}

/// Compares an anchor with the end of the log and with the hash now at the anchor's position.
pub(crate) fn compare(anchor: Option<Tail>, tail: Tail, there: Option<Hash>) -> Anchoring {
    match (anchor, there) {
        (None, _) if tail == Tail::EMPTY => Anchoring::Whole,
        (None, _) => Anchoring::Missing { found: tail },
        (Some(anchor), Some(found)) if anchor.hash != found => {
            Anchoring::Replaced { anchor, found }
        }
        (Some(_), Some(_)) => Anchoring::Whole,
        (Some(anchor), None) => Anchoring::Truncated { anchor, found: tail },
    }
}

/// The anchor of a log in a file, at `<database>.anchor`.
#[derive(Clone, Debug)]
pub(crate) struct AnchorFile {
    path: PathBuf,
}

impl AnchorFile {
    pub(crate) fn beside(database: &Path) -> Self {
        Self { path: suffixed(database, ".anchor") }
    }

    /// What the anchor says: `Ok(Ok(None))` when there is none, `Ok(Err(..))` when it makes no sense.
    pub(crate) fn read(&self) -> Result<Result<Option<Tail>, String>, Failure> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(parse(&String::from_utf8_lossy(&bytes)).map(Some)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Ok(None)),
            Err(error) => Err(self.failed("read", &error)),
        }
    }

    /// Replaces the anchor: a reader sees the old one or the new one, and so does a crash. The
    /// name is made durable too: a log without its anchor looks like one that lost it.
    pub(crate) fn write(&self, tail: Tail) -> Result<(), Failure> {
        let fresh = suffixed(&self.path, ".new");
        let line = format!("{} {}\n", tail.position, tail.hash);
        let replace = || {
            let mut file = File::create(&fresh)?;
            file.write_all(line.as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, &self.path)?;
            let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        };
        replace().map_err(|error| self.failed("write", &error))
    }

    fn failed(&self, what: &str, error: &io::Error) -> Failure {
        let path = self.path.display();
        Failure::Unavailable(format!("cannot {what} the anchor {path}: {error}"))
    }
}

fn parse(line: &str) -> Result<Tail, String> {
    let bad = || format!("found {line:?}, expected a position and a hash");
    let (position, hash) = line.trim_end().split_once(' ').ok_or_else(bad)?;
    let position = position.parse().map_err(|_| bad())?;
    let hash = hash.parse()?;
    Ok(Tail { position, hash })
}

/// `path` with `suffix` after its last character.
pub(crate) fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
