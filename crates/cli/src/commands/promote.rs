//! `sluice promote`.

use super::act::{Reason, Target};
use crate::exit::{Exit, Failure};

/// End a rollout's stage now, without the rest of its soak; never over a failed gate.
#[derive(Debug, clap::Args)]
#[command(after_help = super::help("sluice promote analyzer --stage canary --why 'verified by hand'"))]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// End this stage and no other: refused when another is under way, so that a command sent
    /// twice ends one stage. `bake` is the bake.
    #[arg(long, value_name = "STAGE")]
    stage: Option<String>,
    #[command(flatten)]
    reason: Reason,
}

impl Args {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        self.target.promote(self.stage, &self.reason.why).await
    }
}
