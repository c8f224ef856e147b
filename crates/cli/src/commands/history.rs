//! `sluice history`.

use std::fmt::Write;

use server::view::EventView;

use super::act::Target;
use crate::clock::utc;
use crate::exit::{Exit, Failure};
use crate::output::{Format, data, json};

/// The events that only say that traffic was counted: many, and told by the gates.
const COUNTED: &str = "block_observed";

/// Everything that happened to a rollout, the oldest first, as it is in the log.
#[derive(Debug, clap::Args)]
#[command(after_help = super::help("sluice history analyzer-7"))]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Also each block of traffic that was counted.
    #[arg(long)]
    all: bool,
}

impl Args {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let client = self.target.connect.client()?;
        let rollout = client.latest(self.target.rollout.as_deref()).await?;
        let mut events = client.events(&rollout.id).await?;
        events.retain(|event| self.all || event.kind != COUNTED);
        match self.target.output.output {
            Format::Text => data(&text(&events))?,
            Format::Json => json(&events)?,
        }
        Ok(Exit::Done)
    }
}

fn text(events: &[EventView]) -> String {
    let mut text = String::new();
    for event in events {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:>5}  {}  {}", event.seq, utc(event.at), event.text);
    }
    text
}
