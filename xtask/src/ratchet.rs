//! The limits of `xtask/ratchet.json`: they may be tightened, never loosened.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::repo::Repo;
use crate::sizes::{Sizes, percentile};

/// Where the limits are kept.
pub(crate) const PLACE: &str = "xtask/ratchet.json";
/// Limits are kept in steps of so many lines, so that a line more is not a breach.
const STEP: usize = 10;

/// How long files and functions may be, in lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ratchet {
    /// Half of the product's files are at most this long.
    pub(crate) file_median: usize,
    /// 95 in 100 are at most this long.
    pub(crate) file_p95: usize,
    /// None is longer, tests included.
    pub(crate) file_max: usize,
    /// 95 in 100 functions are at most this long.
    pub(crate) function_p95: usize,
    /// At least this share of functions, in percent, is within 60 lines.
    pub(crate) short_percent: f64,
}

impl Ratchet {
    /// The limits as committed.
    pub(crate) fn read(repo: &Repo) -> Result<Self, String> {
        let text = repo.texts.get(PLACE).ok_or_else(|| format!("there is no {PLACE}"))?;
        serde_json::from_str(text).map_err(|cause| format!("{PLACE}: {cause}"))
    }

    /// The tightest limits the tree keeps today, in whole steps, and never looser than `self`.
    pub(crate) fn tightened(&self, repo: &Repo) -> Self {
        let sizes = Sizes::of(repo);
        let longest = repo.sources.values().map(|source| source.lines).max().unwrap_or(0);
        let up = |lines: usize, limit: usize| lines.next_multiple_of(STEP).min(limit);
        Self {
            file_median: up(percentile(&sizes.files, 50), self.file_median),
            file_p95: up(percentile(&sizes.files, 95), self.file_p95),
            file_max: up(longest, self.file_max),
            function_p95: up(percentile(&sizes.functions, 95), self.function_p95),
            short_percent: sizes.short_percent().floor().max(self.short_percent),
        }
    }
}

/// Writes the tightest limits the tree keeps.
pub(crate) fn tighten(repo: &Repo) -> Result<(), String> {
    let before = Ratchet::read(repo)?;
    let after = before.tightened(repo);
    if before == after {
        println!("{PLACE} is as tight as the tree");
        return Ok(());
    }
    let text = serde_json::to_string_pretty(&after).map_err(|cause| cause.to_string())?;
    fs::write(repo.root.join(PLACE), format!("{text}\n"))
        .map_err(|cause| format!("cannot write {PLACE}: {cause}"))?;
    println!("tightened {PLACE}: {before:?} -> {after:?}");
    Ok(())
}
