//! `sluice promote`.

use super::act::{Reason, Target};
use crate::exit::{Exit, Failure};

/// End a rollout's stage now, without the rest of its soak; never over a failed gate.
#[derive(Debug, clap::Args)]
#[command(after_help = super::help("sluice promote analyzer --why 'verified by hand'"))]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    reason: Reason,
}

impl Args {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        self.target.ask("promote", &self.reason.why).await
    }
}
