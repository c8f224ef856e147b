//! `sluice resume`.

use super::act::Target;
use crate::exit::{Exit, Failure};

/// Take up again a rollout that was paused.
#[derive(Debug, clap::Args)]
#[command(after_help = super::help("sluice resume analyzer"))]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
}

impl Args {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        self.target.ask("resume", "").await
    }
}
