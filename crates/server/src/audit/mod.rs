//! Whether a log is whole, found out beside a controller or without one; and accepting one that
//! is not, which only an operator can.

mod accept;

use std::path::{Path, PathBuf};

use rollout::units::Timestamp;
use serde::{Deserialize, Serialize};
use store::chain::{self, Audit, Tail};
use store::lease::LeaseError;
use store::log::{Failure, Reader as _};
use store::sqlite::{OpenError, SqliteReader};

pub use accept::accept;

/// The store's notes of what was accepted begin with this, and go on with when it was.
const ACCEPTED: &str = "accepted/";

/// Why a log could not be looked at or accepted.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// It does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be read, or compared with its anchor.
    #[error(transparent)]
    Read(#[from] Failure),
    /// There is none.
    #[error("there is no log in {}", .0.display())]
    NoLog(PathBuf),
    /// A controller works with it, or the lease cannot be written.
    #[error("the log cannot be accepted: {0}; stop the controller first")]
    Lease(#[from] LeaseError),
    /// A note of what was accepted is not understood.
    #[error("the note {key} is not understood: {error}")]
    Note {
        /// Its key.
        key: String,
        /// What is wrong with it.
        error: String,
    },
}

/// A damaged log that an operator accepted as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// Up to which event.
    pub position: u64,
    /// The hash of a chain over what the events said then.
    pub content: String,
    /// What was wrong with the log, in one sentence.
    pub found: String,
    /// When it was accepted.
    pub at: Timestamp,
    /// By whom, as the system knows them.
    pub by: String,
    /// The reason given.
    pub why: String,
}

/// What a look at a log found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its chain and its anchor.
    pub audit: Audit,
    /// What was accepted before, the earliest first.
    pub accepted: Vec<Acceptance>,
}

/// Walks the log of the state folder `state` from its first event to its last. Changes nothing,
/// and takes nothing from a controller that runs. Blocks while it reads.
///
/// # Errors
/// See [`AuditError`]; a log that is broken is an answer, not an error.
pub fn verify(state: &Path) -> Result<Found, AuditError> {
    let reader = SqliteReader::open(&path(state))?;
    let audit = chain::verify(&reader)?;
    Ok(Found { audit, accepted: acceptances(reader.notes(ACCEPTED)?)? })
}

/// What operators accepted, from the store's notes under [`ACCEPTED`].
fn acceptances(notes: Vec<(String, String)>) -> Result<Vec<Acceptance>, AuditError> {
    let read = |(key, value): (String, String)| {
        serde_json::from_str(&value)
            .map_err(|error| AuditError::Note { key, error: error.to_string() })
    };
    notes.into_iter().map(read).collect()
}

/// What operators accepted of the log of `store`.
///
/// # Errors
/// The notes cannot be read.
pub(crate) async fn accepted(store: &store::Store) -> Result<Vec<Tail>, AuditError> {
    Ok(tails(&acceptances(store.notes(ACCEPTED).await?)?))
}

fn tails(accepted: &[Acceptance]) -> Vec<Tail> {
    let tail =
        |it: &Acceptance| Some(Tail { position: it.position, hash: it.content.parse().ok()? });
    accepted.iter().filter_map(tail).collect()
}

fn path(state: &Path) -> PathBuf {
    state.join("sluice.sqlite")
}
