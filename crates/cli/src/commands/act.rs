//! What the commands that ask something of a rollout have in common.

use server::view::RolloutView;

use crate::client::Connect;
use crate::exit::{Exit, Failure};
use crate::output::OutputArgs;

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
        let target = client.under_way(self.rollout.as_deref(), verb).await?;
        let view = client.act(&target.id, verb, why).await?;
        self.output.answer(&stands(&view), &view)
    }

    /// Ends the stage of that name, or the one under way, and says which it was.
    pub(super) async fn promote(self, stage: Option<String>, why: &str) -> Result<Exit, Failure> {
        let client = self.connect.client()?;
        let target = client.under_way(self.rollout.as_deref(), "promote").await?;
        // The stage that was under way when this was typed: one that ends by itself meanwhile
        // does not cost the next one its soak.
        let seen = target.stage().map(|stage| stage.name.clone());
        let view = client.promote(&target.id, stage.or(seen.clone()).as_deref(), why).await?;
        let ended = seen.map_or(String::new(), |name| format!("{}: {name} is ended. ", view.id));
        self.output.answer(&format!("{ended}{}\n{}", view.last_move, stands(&view)), &view)
    }
}

/// How a rollout stands, in one line, and what there is to know beside it.
pub(super) fn stands(view: &RolloutView) -> String {
    let first =
        format!("{} ({} {}) is {}: {}", view.id, view.service, view.version, view.state, view.why);
    std::iter::once(first).chain(view.notices.iter().cloned()).collect::<Vec<_>>().join("\n")
}
