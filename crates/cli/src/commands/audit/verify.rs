//! `sluice audit verify`.

use serde_json::json;
use server::audit;

use super::{Log, reads};
use crate::exit::{Exit, Failure};
use crate::output::{self, Format, data};

/// Check that no event was changed, removed or put in between, and that none is lost at the end.
///
/// Reads the log of the state folder, beside a controller that runs or without one. The code is
/// 1 when the log is not whole.
#[derive(Debug, clap::Args)]
#[command(after_help = crate::commands::help("sluice audit verify --state .sluice"))]
pub(super) struct Args {
    #[command(flatten)]
    log: Log,
}

impl Args {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let found = audit::verify(&self.log.state).map_err(Failure::usage)?;
        let broken = found.audit.broken.as_ref().map(ToString::to_string);
        let anchor = found.audit.anchoring.to_string();
        let whole = found.audit.is_whole();
        let (events, hash) = (found.audit.tail.position, found.audit.tail.hash.to_string());
        match self.log.output.output {
            Format::Text => {
                let state = if whole { "the log is whole" } else { "the log is NOT whole" };
                let broken = broken.unwrap_or_else(|| "no event was changed".to_owned());
                data(&format!(
                    "{state}: {events} events in order, the last has the hash {hash}\n{broken}; {anchor}"
                ))?;
                found.accepted.iter().try_for_each(|accepted| data(&reads(accepted)))?;
            }
            Format::Json => output::json(&json!({
                "whole": whole, "events": events, "hash": hash, "broken": broken, "anchor": anchor,
                "accepted": found.accepted,
            }))?,
        }
        Ok(if whole { Exit::Done } else { Exit::Failed })
    }
}
