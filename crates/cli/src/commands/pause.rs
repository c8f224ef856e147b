//! `sluice pause`.

use super::act::{Reason, Target};
use crate::exit::{Exit, Failure};

/// Keep a rollout in its stage until it is resumed; its gates still roll it back.
#[derive(Debug, clap::Args)]
#[command(after_help = super::help("sluice pause analyzer --why 'looking at the logs'"))]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    reason: Reason,
}

impl Args {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        self.target.ask("pause", &self.reason.why).await
    }
}
