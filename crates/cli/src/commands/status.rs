//! `sluice status`.

use super::act::Target;
use super::follow::{self, FollowArgs, Manner};
use crate::exit::{Exit, Failure};
use crate::view;

/// Show a rollout: who meets what, where it is in its plan, what its gates say, and why.
///
/// On a terminal it is watched: p pauses, r resumes, c continues, b rolls back (each asks once
/// more), q leaves the view. Without a terminal it is printed once.
#[derive(Debug, clap::Args)]
#[command(after_help = super::help(
    "sluice status analyzer\nsluice status analyzer --output json\nsluice status analyzer --wait --timeout 30m"
))]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    follow: FollowArgs,
}

impl Args {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let format = self.target.output.output;
        let client = self.target.connect.client()?;
        let rollout = client.latest(self.target.rollout.as_deref()).await?;
        match self.follow.manner(format) {
            Manner::Wait(limit) => follow::wait(&client, &rollout.id, limit, format).await,
            Manner::Watch if !rollout.over => view::watch(&client, &rollout.id).await,
            Manner::Watch | Manner::Once => follow::show(&rollout, format),
        }
    }
}
