//! `sluice schema`.

use crate::exit::{Exit, Failure};
use crate::output::json;

/// Print the JSON Schema of the plan file, for editors that complete and check as you type.
///
/// The first line of a plan names it: # yaml-language-server: $schema=./sluice.schema.json
#[derive(Debug, clap::Args)]
#[command(after_help = super::help("sluice schema > sluice.schema.json"))]
pub(crate) struct Args {}

impl Args {
    #[expect(clippy::unused_self, reason = "every command is run the same way")]
    pub(super) fn run(self) -> Result<Exit, Failure> {
        json(&rollout::plan::json_schema())?;
        Ok(Exit::Done)
    }
}
