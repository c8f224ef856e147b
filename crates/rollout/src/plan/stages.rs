//! From the stages as written to the stages as meant.

use std::collections::BTreeSet;

use super::findings::Findings;
use super::gate::{Gate, Test, Then};
use super::gates;
use super::limit::Around;
use super::mirror;
use super::plan::{MIN_BLOCKS, Stage};
use super::value::{self, LONG};
use super::yaml::Node;
use crate::units::{Millis, Weight};

/// What the rest of the plan says that stages are checked against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// The length of one block of evidence.
    pub(super) block: Millis,
    /// No request is slower than this: it is a failure instead.
    pub(super) answer: (Millis, &'static str),
}

/// All stages, in order.
pub(super) fn read(plan: &Node, frame: Frame, findings: &mut Findings<'_>) -> Vec<Stage> {
    let Some(stages) = plan.get("stages") else {
        return Vec::new();
    };
    let nodes = stages.items();
    if nodes.is_empty() && stages.text().is_none() {
        let message = "read no stage; allowed: one or more, the last at 100%";
        findings.error("no-stages", stages.place(), message, None);
    }
    let mut read = Vec::new();
    for (position, node) in nodes.iter().enumerate() {
        let last = position.saturating_add(1) == nodes.len();
        read.push(stage(node, last, frame, findings));
    }
    check_names(nodes, findings);
    check_weights(nodes, &read, findings);
    read.into_iter().map(|(stage, _)| stage).collect()
}

/// One stage, and its exposure where it could be read.
fn stage(
    node: &Node,
    last: bool,
    frame: Frame,
    findings: &mut Findings<'_>,
) -> (Stage, Option<Weight>) {
    let weight = node.get("traffic").and_then(|node| weight(node, findings));
    let mirror = mirror::read(node, weight, findings);
    let Frame { block, answer } = frame;
    let around = Around { block, answer, weight };
    let stage = Stage {
        name: value::name(node, "name", "stage-name", findings),
        weight: weight.unwrap_or_default(),
        mirror,
        soak: soak(node, last, block, findings),
        gates: gates::read(node, around, findings),
    };
    let watched = ["gates", "rollback_when"]
        .iter()
        .any(|key| node.get(key).is_some_and(|gates| !gates.entries().is_empty()));
    if !watched && !node.entries().is_empty() && weight != Some(Weight::ZERO) {
        let message = format!("stage `{}` has no gates, so nothing is watched", stage.name);
        let help = Some("write `gates: { error_rate: below 1% }`".to_owned());
        findings.warning("stage-without-gates", node.place(), message, help);
    }
    hard_to_judge(node, &stage, findings);
    (stage, weight)
}

/// A Fail asks that stable does not explain it, and what little traffic stable has left explains
/// much: however bad the canary is, it takes 15 blocks at 50 %, 46 at 75 %, 127 at 90 %, 1,272 at
/// 99 %. At 100 % there is no stable and the limit decides alone.
fn hard_to_judge(node: &Node, stage: &Stage, findings: &mut Findings<'_>) {
    let Some(traffic) = node.get("traffic") else { return };
    let compares =
        |gate: &Gate| gate.then == Then::RollBack && !matches!(gate.test, Test::Sustained { .. });
    let between = stage.weight > Weight::percent(50) && stage.weight < Weight::FULL;
    if between && stage.gates.iter().any(compares) {
        let message = format!(
            "read {}, which leaves stable little traffic to compare with; a broken gate takes many blocks to roll back",
            stage.weight
        );
        let help = "go from 50% or less to 100%; only the guard acts soon in between";
        findings.warning("stage-hard-to-judge", traffic.place(), message, Some(help.to_owned()));
    }
}

pub(super) fn weight(node: &Node, findings: &mut Findings<'_>) -> Option<Weight> {
    let text = node.text()?;
    let share = value::share_of(text, node.place(), findings)?;
    if share.checked_rem(1_000) != Some(0) {
        let message = format!("read `{text}`; allowed: steps of 0.001%");
        findings.error("invalid-percentage", node.place(), message, None);
        return None;
    }
    let steps = u32::try_from(share.checked_div(1_000)?).ok()?;
    Weight::from_steps(steps)
}

fn soak(node: &Node, last: bool, block: Millis, findings: &mut Findings<'_>) -> Millis {
    let Some(length) = node.get("for") else {
        if !last && !node.entries().is_empty() {
            let message = "`for` is missing; only the last stage may leave it out";
            let help = Some("write how long the stage lasts at least: `for: 2h`".to_owned());
            findings.error("missing-soak", node.place(), message, help);
        }
        return Millis::ZERO;
    };
    let Some(soak) = value::bounded_length(length, &(Millis::ZERO..=LONG), findings) else {
        return Millis::ZERO;
    };
    let enough = block.times(u64::from(MIN_BLOCKS));
    if soak == Millis::ZERO && !last {
        let message =
            format!("read {soak}; allowed: more than no time in every stage but the last");
        findings.error("missing-soak", length.place(), message, None);
    } else if soak != Millis::ZERO && soak < enough {
        let message = format!(
            "read {soak}, which is shorter than three blocks of evidence ({enough}); the stage will last longer than that"
        );
        let help = Some(shorter_blocks(soak, block));
        findings.warning("soak-too-short", length.place(), message, help);
    }
    soak
}

/// How three blocks of evidence would fit into `soak`.
fn shorter_blocks(soak: Millis, block: Millis) -> String {
    let forgive = Millis(block.0.div_euclid(3));
    // A tenth of a second is the shortest `forgive`, and fine enough.
    let fits = soak.0.div_euclid(u64::from(MIN_BLOCKS)).div_euclid(3).div_euclid(100);
    let fits = Millis(100).times(fits);
    let means = format!("a block is three times `forgive`, which is {forgive}");
    if fits == Millis::ZERO {
        format!("{means}; make the stage longer")
    } else {
        format!("{means}; make the stage longer, or set `forgive: {fits}`")
    }
}

fn check_names(nodes: &[Node], findings: &mut Findings<'_>) {
    let mut seen = BTreeSet::new();
    for name in nodes.iter().filter_map(|node| node.get("name")) {
        let Some(text) = name.text() else { continue };
        if text == "bake" {
            let message = "read the name `bake`; allowed: any other, the time after the last stage is called so";
            findings.error("reserved-name", name.place(), message, None);
        }
        if !seen.insert(text) {
            let message = format!("read the name `{text}` a second time; allowed: once in a plan");
            findings.error("duplicate-stage", name.place(), message, None);
        }
    }
}

fn check_weights(nodes: &[Node], stages: &[(Stage, Option<Weight>)], findings: &mut Findings<'_>) {
    let mut before = Weight::ZERO;
    for (node, (_, weight)) in nodes.iter().zip(stages) {
        let (Some(node), Some(weight)) = (node.get("traffic"), *weight) else {
            continue;
        };
        // Before the first users there may be several stages of copies.
        if weight <= before && weight > Weight::ZERO || weight < before {
            let message = format!(
                "read {weight} after a stage of {before}; allowed: more than the stage before"
            );
            findings.error("weights-must-rise", node.place(), message, None);
        }
        before = weight;
    }
    let last = nodes.last().and_then(|node| node.get("traffic")).zip(stages.last());
    if let Some((node, (_, Some(weight)))) = last
        && *weight != Weight::FULL
    {
        let message = format!("read {weight} in the last stage; allowed: 100%");
        let help = Some("a rollout ends when everyone has the new release".to_owned());
        findings.error("last-stage-not-full", node.place(), message, help);
    }
}
