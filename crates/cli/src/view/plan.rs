//! What a plan does, in short.

use rollout::plan::{Gate, Plan, Stage, Then};
use rollout::route::Route;
use rollout::units::{Millis, Weight};

use super::figures::{UNKNOWN, length, percent};
use super::line::{Line, Tone, wrapped};
use super::table::{Cell, Side, head, rows};

const SIDES: [Side; 4] = [Side::Left, Side::Right, Side::Right, Side::Left];

/// The plan in lines of at most `width` columns, where that can be.
pub(super) fn lines(name: &str, plan: &Plan, width: usize) -> Vec<Line> {
    let title = Line::of(format!("{name}: {}", plan.service), Tone::Strong)
        .with(format!(", taken in on {}{}", plan.listen, scope(&plan.route)), Tone::Plain);
    let mut lines = vec![title, Line::default()];
    lines.extend(stages(plan));
    lines.push(Line::default());
    for (label, text) in [("evidence  ", evidence(plan)), ("duration  ", duration(plan))] {
        lines.extend(wrapped(label, &text, width, Tone::Plain));
    }
    lines
}

/// Which requests on its address are the service's; nothing where all are.
fn scope(route: &Route) -> String {
    let hosts: Vec<&str> = route.hosts().flatten().collect();
    let paths: Vec<&str> = route.paths().filter(|path| *path != "/").collect();
    match (&*hosts.join(", "), &*paths.join(", ")) {
        ("", "") => String::new(),
        ("", paths) => format!(" for {paths}"),
        (hosts, "") => format!(" for {hosts}"),
        (hosts, paths) => format!(" for {paths} of {hosts}"),
    }
}

/// A row for each gate of each stage; the stage's own cells stand in its first.
fn stages(plan: &Plan) -> Vec<Line> {
    let mut table = vec![head(&["STAGE", "TRAFFIC", "SOAK", "GATES"])];
    for stage in &plan.stages {
        table.extend(stage_rows(stage));
    }
    if plan.bake > Millis::ZERO {
        let none = ("as in the last stage".to_owned(), Tone::Dim);
        table.push(row("bake", Weight::FULL, plan.bake, none));
    }
    rows(&SIDES, &table)
}

fn stage_rows(stage: &Stage) -> Vec<Vec<Cell>> {
    let mut gates = stage.gates.iter().map(gate);
    let none = || ("no gates".to_owned(), Tone::Warn);
    let first = row(&stage.name, stage.weight, stage.soak, gates.next().unwrap_or_else(none));
    let empty = || (String::new(), Tone::Plain);
    let others = gates.map(|gate| vec![empty(), empty(), empty(), gate]);
    std::iter::once(first).chain(others).collect()
}

fn row(name: &str, weight: Weight, soak: Millis, gate: Cell) -> Vec<Cell> {
    let soak = if soak == Millis::ZERO { UNKNOWN.to_owned() } else { length(soak) };
    vec![
        (name.to_owned(), Tone::Strong),
        (weight.to_string(), Tone::Plain),
        (soak, Tone::Plain),
        gate,
    ]
}

fn gate(gate: &Gate) -> Cell {
    let then = match gate.then {
        Then::RollBack => "else roll back",
        Then::Hold => "else hold",
        Then::Alert => "else alert",
    };
    (format!("{} {}, {then}", gate.name(), gate.reads), Tone::Plain)
}

fn evidence(plan: &Plan) -> String {
    format!(
        "in blocks of {}; no stage ends on fewer than {} requests; a healthy release is rolled back \
         at most {} of the time, a stage that does not keep a gate passes at most {}",
        length(plan.block()),
        plan.min_requests,
        percent(Some(plan.budget.false_rollback_rate)),
        percent(Some(plan.budget.false_pass_rate)),
    )
}

/// The stages and the bake at least; and the longest way without a person: everything that can
/// hold does so just under the limit.
fn duration(plan: &Plan) -> String {
    let stages = plan.stages.iter().fold(Millis::ZERO, |sum, stage| sum.plus(plan.least(stage)));
    let least = stages.plus(plan.bake);
    let bakes = u64::from(plan.bake > Millis::ZERO);
    let holds = u64::try_from(plan.stages.len()).unwrap_or(u64::MAX).saturating_add(bakes);
    let longest = least.plus(plan.deploy.ready_within).plus(plan.hold_limit.times(holds));
    format!(
        "{} with traffic at least; at most {} until it is over or a person is asked (after {} of \
         holding)",
        length(least),
        length(longest),
        length(plan.hold_limit)
    )
}
