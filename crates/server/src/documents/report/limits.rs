//! What the figures of a report mean, and what they do not say.

use rollout::units::Millis;

use super::{Report, StageReport};

/// Sentences that belong beside the figures.
pub(super) fn limits(report: &Report) -> Vec<String> {
    let mut said = Vec::new();
    if !report.over {
        said.push(format!(
            "The rollout is not over: this is how it stood after event {}.",
            report.seq
        ));
    }
    if report.stages.is_empty() {
        said.push("No stage began, so there is nothing to report of its traffic.".to_owned());
        return said;
    }
    said.extend(report.stages.iter().flat_map(gaps));
    said.extend(ALWAYS.iter().map(|sentence| (*sentence).to_owned()));
    said
}

const ALWAYS: [&str; 4] = [
    "Requests and errors are what the proxy counted; errors are 5xx answers, connections that failed, \
     timeouts and bodies that broke off.",
    "Requests whose client went away first are counted apart and are nobody's failure.",
    "Latencies are to the first byte as the proxy saw it, right within 1 %.",
    "A gate that passed was kept in the time observed; it says nothing of the time after.",
];

/// What is missing from one stage's figures.
fn gaps(stage: &StageReport) -> Vec<String> {
    let mut said = Vec::new();
    let name = &stage.name;
    if stage.unknown > Millis::ZERO {
        said.push(format!(
            "In stage {name}, nothing is known of the canary for {}: its counts were missing, and its figures \
             are without them.",
            stage.unknown
        ));
    }
    if stage.stable_unknown > Millis::ZERO {
        said.push(format!(
            "In stage {name}, nothing is known of stable for {}: its counts were missing, and its figures are \
             without them.",
            stage.stable_unknown
        ));
    }
    if stage.canary.requests == 0 {
        said.push(format!("In stage {name}, no request to the canary was counted."));
    }
    said
}
