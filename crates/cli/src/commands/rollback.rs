//! `sluice rollback`.

use super::act::{Reason, Target};
use crate::exit::{Exit, Failure};

/// Go back to stable at once. Needs nobody's permission and asks nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = super::help("sluice rollback analyzer --why 'prices are wrong'"))]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    reason: Reason,
}

impl Args {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        self.target.ask("rollback", &self.reason.why).await
    }
}
