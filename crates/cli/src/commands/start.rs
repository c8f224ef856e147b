//! `sluice start`.

use std::fs;
use std::path::{Path, PathBuf};

use server::api::CreateRollout;

use super::act;
use super::file::PlanText;
use super::follow::{self, FollowArgs, Manner};
use crate::client::Connect;
use crate::exit::{Exit, Failure};
use crate::output::{Format, OutputArgs, note, stderr_has_colour};
use crate::view;

/// Start a rollout of a version, as the plan says.
///
/// On a terminal it is watched until it is over; leaving the view leaves the rollout running.
/// Without a terminal its id is printed, and on standard error how it stands: whether it begins
/// or waits, and behind which rollout.
#[derive(Debug, clap::Args)]
#[command(after_help = super::help(
    "sluice start sluice.yaml --version 2.4.1\nsluice start sluice.yaml --version 2.4.1 --wait --timeout 30m"
))]
pub(crate) struct Args {
    /// The plan file; relative paths in it start from its folder.
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// The version to release; fills `{version}` in the plan.
    #[arg(long, value_name = "V")]
    version: String,
    /// Release it although it was rolled back before.
    #[arg(long)]
    again: bool,
    /// Move to the plan's `listen` address, or give up hosts and paths its `route` leaves out:
    /// nobody answers at the old ones any more when this release is stable.
    #[arg(long)]
    new_listen: bool,
    #[command(flatten)]
    follow: FollowArgs,
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let format = self.output.output;
        let new = self.rollout()?;
        let client = self.connect.client()?;
        let id = client.create(&new).await?;
        match self.follow.manner(format) {
            Manner::Watch => view::watch(&client, &id).await,
            Manner::Wait(limit) => {
                note(&act::stands(&client.rollout(&id).await?));
                follow::wait(&client, &id, limit, format).await
            }
            Manner::Once => {
                let rollout = client.rollout(&id).await?;
                if format == Format::Text {
                    note(&act::stands(&rollout));
                }
                self.output.answer(&id, &rollout)
            }
        }
    }

    /// What is asked for. A plan with errors is not sent at all.
    fn rollout(&self) -> Result<CreateRollout, Failure> {
        let read = PlanText::read(&self.plan)?;
        if !read.findings.is_empty() {
            note(&read.rendered(stderr_has_colour()));
        }
        if read.plan.is_none() {
            return Err(Failure::usage("the plan has errors; nothing was started"));
        }
        Ok(CreateRollout {
            plan_name: read.name,
            plan: read.text,
            version: self.version.clone(),
            directory: folder(&self.plan)?,
            again: self.again,
            new_listen: self.new_listen,
        })
    }
}

/// The folder a plan file is in, from the root: the controller may run elsewhere.
fn folder(plan: &Path) -> Result<String, Failure> {
    let whole = fs::canonicalize(plan).map_err(Failure::usage)?;
    let folder = whole.parent().unwrap_or(Path::new("/"));
    let text = folder.to_str().map(ToOwned::to_owned);
    text.ok_or_else(|| Failure::usage(format!("{} is not UTF-8", folder.display())))
}
