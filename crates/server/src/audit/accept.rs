//! Accepting a damaged log: the note first, then the anchor.

use std::path::Path;

use rollout::units::Millis;
use store::anchor::Anchoring;
use store::lease::Lease;
use store::log::Log as _;
use store::sqlite::SqliteLog;
use store::trail::Trail;

use super::{ACCEPTED, Acceptance, AuditError, acceptances, path, tails};
use crate::engine::Clock;

/// How long the lease is taken for; it is given back at once.
const LEASE: Millis = Millis::from_secs(30);

/// Accepts the log of the state folder `state` as it is, so that rollouts go on from it: keeps a
/// note of what was wrong, and writes its end down as its anchor. Answers `None`, and changes
/// nothing, when nothing is wrong with it. Blocks while it works.
///
/// # Errors
/// See [`AuditError`]; a controller that runs is one.
pub fn accept(state: &Path, by: &str, why: &str) -> Result<Option<Acceptance>, AuditError> {
    let path = path(state);
    if !path.is_file() {
        return Err(AuditError::NoLog(state.to_owned()));
    }
    let mut log = SqliteLog::open(&path)?;
    let lease = log.acquire("sluice audit accept", LEASE, Clock.now())?;
    let accepted = accept_with(&mut log, &lease, by, why);
    log.release(&lease)?;
    accepted
}

fn accept_with(
    log: &mut SqliteLog,
    lease: &Lease,
    by: &str,
    why: &str,
) -> Result<Option<Acceptance>, AuditError> {
    let reader = log.reader();
    let before = acceptances(reader.notes(ACCEPTED)?)?;
    let trail = Trail::follow(&*reader, tails(&before))?;
    let anchoring = reader.anchoring()?;
    let broken = trail.broken().map(ToString::to_string);
    let lost = (anchoring != Anchoring::Whole).then(|| anchoring.to_string());
    let found: Vec<String> = broken.into_iter().chain(lost).collect();
    if found.is_empty() {
        return Ok(None);
    }
    let content = trail.content();
    let acceptance = Acceptance {
        position: content.position,
        content: content.hash.to_string(),
        found: found.join("; "),
        at: Clock.now(),
        by: by.to_owned(),
        why: why.to_owned(),
    };
    // The note first: without the anchor it changes nothing, and accepting again completes it.
    let key = format!("{ACCEPTED}{:020}", acceptance.at.0);
    let note = serde_json::to_string(&acceptance)
        .map_err(|error| AuditError::Note { key: key.clone(), error: error.to_string() })?;
    log.put(&key, &note)?;
    log.accept(lease)?;
    Ok(Some(acceptance))
}
