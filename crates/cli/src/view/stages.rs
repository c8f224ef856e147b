//! Where the rollout is in its plan.

use rollout::units::Timestamp;
use server::view::StageView;

use super::figures::{bar, length};
use super::line::{Line, Tone};
use super::table::{Cell, Side, branch, head, rows};

const SIDES: [Side; 3] = [Side::Left, Side::Right, Side::Left];
/// Cells of a bar.
const BAR: usize = 16;

/// A line a stage, and the bake after the last.
pub(super) fn lines(stages: &[StageView], now: Timestamp) -> Vec<Line> {
    let count = stages.len();
    let mut table = vec![head(&["STAGES", "WEIGHT", "SOAK"])];
    let row = |(index, stage)| cells(branch(index, count), stage, now);
    table.extend(stages.iter().enumerate().map(row));
    rows(&SIDES, &table)
}

fn cells(branch: &str, stage: &StageView, now: Timestamp) -> Vec<Cell> {
    let (mark, tone) = match stage.status.as_str() {
        "done" => ("✔", Tone::Good),
        "current" => ("●", Tone::Strong),
        "failed" => ("✖", Tone::Bad),
        "left out" => ("-", Tone::Dim),
        _ => ("○", Tone::Dim),
    };
    vec![
        (format!("{branch}{mark} {}", stage.name), tone),
        (stage.weight.to_string(), Tone::Plain),
        (progress(stage, now), if stage.status == "current" { Tone::Strong } else { Tone::Dim }),
    ]
}

fn progress(stage: &StageView, now: Timestamp) -> String {
    let soak = length(stage.soak);
    if stage.status == "current" {
        let done = stage.observed.min(stage.soak);
        return format!("{} {} of {soak} observed", bar(done, stage.soak, BAR), length(done));
    }
    if stage.status == "left out" {
        return stage.status.clone();
    }
    match stage.started_at {
        Some(start) => format!("took {}", length(stage.ended_at.unwrap_or(now).since(start))),
        None if stage.soak.0 == 0 => "no soak".to_owned(),
        None => soak,
    }
}
