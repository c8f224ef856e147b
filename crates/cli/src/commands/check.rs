//! `sluice check`.

use std::path::PathBuf;

use rollout::plan::{Finding, Plan, at_odds};
use serde::Serialize;

use super::file::PlanText;
use crate::exit::{Exit, Failure};
use crate::output::{Format, OutputArgs, data, json, stdout_has_colour};
use crate::view;

/// Read plans without running anything, say all that is wrong, and what they would do.
#[derive(Debug, clap::Args)]
#[command(after_help = super::help("sluice check sluice.yaml\nsluice check */sluice.yaml --output json"))]
pub(crate) struct Args {
    /// The plan files.
    #[arg(value_name = "PLAN", required = true)]
    plans: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// What a check found, for programs.
#[derive(Serialize)]
struct Checked<'a> {
    /// The plan file, as given.
    file: &'a str,
    /// What was found.
    findings: &'a [Finding],
    /// What is meant, every default filled in; `null` when there are errors.
    plan: &'a Option<Plan>,
}

impl Args {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let read: Result<Vec<PlanText>, Failure> =
            self.plans.iter().map(|path| PlanText::read(path)).collect();
        let mut read = read?;
        hold_together(&mut read);
        match self.output.output {
            Format::Text => data(&read.iter().map(text).collect::<Vec<_>>().join("\n"))?,
            Format::Json => json(&read.iter().map(checked).collect::<Vec<_>>())?,
        }
        let usable = read.iter().all(|plan| plan.plan.is_some());
        Ok(if usable { Exit::Done } else { Exit::Usage })
    }
}

/// Finds plans that cannot be in force at once: the later one is at fault.
fn hold_together(read: &mut [PlanText]) {
    for index in 1..read.len() {
        let (before, rest) = read.split_at_mut(index);
        let Some(later) = rest.first_mut() else { return };
        let others = before.iter().filter_map(|other| other.plan.as_ref());
        let found = later.plan.as_ref().and_then(|plan| {
            let (name, text) = (&later.name, &later.text);
            others.into_iter().find_map(|other| at_odds(name, text, plan, other))
        });
        if let Some(found) = found {
            later.findings.push(found);
            later.plan = None;
        }
    }
}

fn text(read: &PlanText) -> String {
    let mut text = read.rendered(stdout_has_colour());
    if let Some(plan) = &read.plan {
        text.push_str(&view::plan(&read.name, plan));
    }
    text
}

fn checked(read: &PlanText) -> Checked<'_> {
    Checked { file: &read.name, findings: &read.findings, plan: &read.plan }
}
