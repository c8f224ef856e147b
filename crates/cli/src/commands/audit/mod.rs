//! `sluice audit`.

mod accept;
mod verify;

use std::path::PathBuf;

use clap::Subcommand;
use server::audit::Acceptance;

use crate::clock::utc;
use crate::exit::{Exit, Failure};
use crate::output::OutputArgs;

/// Look at the log itself.
#[derive(Debug, clap::Args)]
#[command(after_help = super::help("sluice audit verify"))]
pub(crate) struct Args {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, Subcommand)]
enum Question {
    Verify(verify::Args),
    Accept(accept::Args),
}

/// Where the log is, and how it is spoken of.
#[derive(Debug, clap::Args)]
struct Log {
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
            Question::Accept(accept) => accept.run(),
        }
    }
}

fn reads(accepted: &Acceptance) -> String {
    let Acceptance { position, found, by, why, .. } = accepted;
    let at = utc(accepted.at);
    format!("accepted up to event {position} by {by} at {at} ({why}), although {found}")
}
