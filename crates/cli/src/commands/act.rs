//! What the commands that ask something of a rollout have in common.

use server::view::RolloutView;

use crate::client::Connect;
use crate::exit::{Exit, Failure};
use crate::output::{Format, OutputArgs, data, json};

/// Which rollout, of which controller.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// The rollout's id, or its service; may be left out when exactly one is under way.
    #[arg(value_name = "ID|SERVICE")]
    pub(super) rollout: Option<String>,
    #[command(flatten)]
    pub(super) connect: Connect,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// The reason given with an action.
#[derive(Debug, clap::Args)]
pub(super) struct Reason {
    /// Why; goes on record.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) why: String,
}

impl Target {
    /// Asks `verb` of the rollout and says how it stands then.
    pub(super) async fn ask(self, verb: &str, why: &str) -> Result<Exit, Failure> {
        let client = self.connect.client()?;
        let target = client.under_way(self.rollout.as_deref()).await?;
        let view = client.act(&target.id, verb, why).await?;
        match self.output.output {
            Format::Text => data(&stands(&view))?,
            Format::Json => json(&view)?,
        }
        Ok(Exit::Done)
    }
}

/// How a rollout stands, in one line.
fn stands(view: &RolloutView) -> String {
    format!("{} ({} {}) is {}: {}", view.id, view.service, view.version, view.state, view.why)
}
