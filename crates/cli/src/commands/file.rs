//! Plan files on disk.

use std::fs;
use std::path::Path;

use rollout::plan::{Finding, Plan, render};

use crate::exit::Failure;

/// A plan file, and what it says.
pub(super) struct PlanText {
    /// Its path, as given.
    pub(super) name: String,
    /// As it is written.
    pub(super) text: String,
    /// What is meant; `None` when it has errors.
    pub(super) plan: Option<Plan>,
    /// What was found, errors and warnings.
    pub(super) findings: Vec<Finding>,
}

impl PlanText {
    /// Reads a plan file; one with errors is read all the same.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("cannot read the plan {name}: {error}")))?;
        let (plan, findings) = match rollout::plan::read(&name, &text) {
            Ok((plan, warnings)) => (Some(plan), warnings),
            Err(findings) => (None, findings),
        };
        Ok(Self { name, text, plan, findings })
    }

    /// What was found, as people read it; empty when nothing was.
    pub(super) fn rendered(&self, colour: bool) -> String {
        render(&self.name, &self.text, &self.findings, colour)
    }
}
