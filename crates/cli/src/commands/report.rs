//! `sluice report`.

use crate::client::Connect;
use crate::exit::{Exit, Failure};
use crate::output::{data, json};

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ReportFormat {
    /// For people.
    Markdown,
    /// For programs.
    Json,
}

/// The report of a rollout: what each stage amounted to, what the gates said, how it ended.
#[derive(Debug, clap::Args)]
#[command(after_help = super::help("sluice report analyzer-7 > report.md"))]
pub(crate) struct Args {
    /// The rollout's id, or its service; may be left out when there is one under way.
    #[arg(value_name = "ID|SERVICE")]
    rollout: Option<String>,
    /// How it is written.
    #[arg(long, alias = "output", value_enum, default_value = "markdown", value_name = "FORMAT")]
    format: ReportFormat,
    #[command(flatten)]
    connect: Connect,
}

impl Args {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let client = self.connect.client()?;
        let rollout = client.latest(self.rollout.as_deref()).await?;
        match self.format {
            ReportFormat::Markdown => data(&client.report_markdown(&rollout.id).await?)?,
            ReportFormat::Json => json(&client.report(&rollout.id).await?)?,
        }
        Ok(Exit::Done)
    }
}
