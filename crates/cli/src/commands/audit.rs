//! `sluice audit`.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::output::{self, Format, OutputArgs, data};

/// Look at the log itself.
#[derive(Debug, clap::Args)]
#[command(after_help = super::help("sluice audit verify"))]
pub(crate) struct Args {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, Subcommand)]
enum Question {
    Verify(Verify),
}

/// Check that no event was changed, removed or put in between, and that none is lost at the end.
///
/// Reads the log of the state folder, beside a controller that runs or without one. The code is
/// 1 when the log is not whole.
#[derive(Debug, clap::Args)]
#[command(after_help = super::help("sluice audit verify --state .sluice"))]
struct Verify {
    /// The controller's state folder.
    #[arg(
        long,
        env = "SLUICE_STATE",
        hide_env_values = true,
        default_value = ".sluice",
        value_name = "DIR"
    )]
    state: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        match self.question {
            Question::Verify(verify) => verify.run(),
        }
    }
}

impl Verify {
    fn run(self) -> Result<Exit, Failure> {
        let audit = server::audit::verify(&self.state).map_err(Failure::usage)?;
        let broken = audit.broken.as_ref().map(ToString::to_string);
        let anchor = audit.anchoring.to_string();
        let whole = audit.is_whole();
        let (events, hash) = (audit.tail.position, audit.tail.hash.to_string());
        match self.output.output {
            Format::Text => {
                let state = if whole { "the log is whole" } else { "the log is NOT whole" };
                let broken = broken.unwrap_or_else(|| "no event was changed".to_owned());
                data(&format!(
                    "{state}: {events} events in order, the last has the hash {hash}\n{broken}; {anchor}"
                ))?;
            }
            Format::Json => output::json(&json!({
                "whole": whole, "events": events, "hash": hash, "broken": broken, "anchor": anchor,
            }))?,
        }
        Ok(if whole { Exit::Done } else { Exit::Failed })
    }
}
