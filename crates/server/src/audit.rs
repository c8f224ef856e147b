//! Whether a log is whole, found out beside a controller or without one.

use std::path::Path;

use store::chain::{self, Audit};
use store::log::Failure;
use store::sqlite::{OpenError, SqliteReader};

/// Why a log could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// It does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be compared with its anchor.
    #[error(transparent)]
    Read(#[from] Failure),
}

/// Walks the log of the state folder `state` from its first event to its last. Changes nothing,
/// and takes nothing from a controller that runs. Blocks while it reads.
///
/// # Errors
/// See [`AuditError`]; a log that is broken is an answer, not an error.
pub fn verify(state: &Path) -> Result<Audit, AuditError> {
    let reader = SqliteReader::open(&state.join("sluice.sqlite"))?;
    Ok(chain::verify(&reader)?)
}
