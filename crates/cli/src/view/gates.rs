//! What the gates of the stage say, and how sure they are.

use rollout::evidence::Answer;
use rollout::machine::GateVerdict;

use super::figures::{UNKNOWN, percent};
use super::line::{Line, Tone, wrapped};
use super::table::{Cell, Side, branch, head, rows};

const HEAD: [&str; 5] = ["GATES", "ANSWER", "BAD", "[LIKELY BETWEEN]", "LIMIT"];
const SIDES: [Side; 5] = [Side::Left, Side::Left, Side::Right, Side::Left, Side::Right];

/// A line a gate; what does not pass says why in the line below.
pub(super) fn lines(gates: &[GateVerdict], width: usize) -> Vec<Line> {
    let count = gates.len();
    let mut table = vec![head(&HEAD)];
    table.extend(gates.iter().enumerate().map(|(index, gate)| cells(branch(index, count), gate)));
    let mut drawn = rows(&SIDES, &table).into_iter();
    let mut lines: Vec<Line> = drawn.by_ref().take(1).collect();
    for (index, (gate, line)) in gates.iter().zip(drawn).enumerate() {
        lines.push(line);
        if gate.verdict.answer != Answer::Pass {
            let margin = if index + 1 == count { "     " } else { "│    " };
            lines.extend(wrapped(margin, &gate.verdict.reason.to_string(), width, Tone::Dim));
        }
    }
    lines
}

fn cells(branch: &str, gate: &GateVerdict) -> Vec<Cell> {
    let (mark, tone) = match gate.verdict.answer {
        Answer::Pass => ("✔", Tone::Good),
        Answer::Fail => ("✖", Tone::Bad),
        Answer::Hold => ("◌", Tone::Warn),
    };
    let numbers = &gate.verdict.numbers;
    let between = match (numbers.lower, numbers.upper) {
        (Some(lower), Some(upper)) => {
            format!("[{} .. {}]", percent(Some(lower)), percent(Some(upper)))
        }
        _ => UNKNOWN.to_owned(),
    };
    vec![
        (format!("{branch}{mark} {} {}", gate.gate, gate.reads), Tone::Plain),
        (gate.verdict.answer.name().to_owned(), tone),
        (percent(numbers.rate), Tone::Strong),
        (between, Tone::Plain),
        (percent(numbers.limit), Tone::Plain),
    ]
}
