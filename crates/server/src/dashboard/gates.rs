//! What the gates say and how sure they are: stable and canary on one axis, the limit as a
//! line, the confidence interval as a band.

use maud::{Markup, html};
use rollout::evidence::Numbers;
use rollout::machine::GateVerdict;

use super::text;

/// The chart's width in its own units.
const WIDTH: f64 = 600.0;

pub(super) fn render(gates: &[GateVerdict]) -> Markup {
    html! {
        section aria-labelledby="gates" {
            h2 #gates { "What the gates say" }
            @if gates.is_empty() { p.small { "No stage with gates is under way." } }
            @for gate in gates {
                @let answer = gate.verdict.answer.name();
                article.gate data-answer=(answer) {
                    h3 { span.answer { (answer) } " " (gate.gate) " " (gate.reads) }
                    (chart(gate))
                    p.small { (gate.verdict.reason) }
                    p.small { (sure(&gate.verdict.numbers)) }
                }
            }
        }
    }
}

/// How far the evidence is from an answer, in plain numbers.
fn sure(numbers: &Numbers) -> String {
    format!(
        "{} bad of {} requests in {} windows; evidence to fail {:.1} of {:.1}, to pass {:.1} of {:.1}",
        numbers.bad,
        numbers.requests,
        numbers.blocks,
        numbers.evidence,
        numbers.evidence_needed,
        numbers.pass_evidence,
        numbers.pass_needed,
    )
}

fn chart(gate: &GateVerdict) -> Markup {
    let numbers = &gate.verdict.numbers;
    let top = top(numbers);
    let x = |share: f64| (share / top * WIDTH).clamp(0.0, WIDTH);
    html! {
        svg.chart viewBox={ "-2 0 " (WIDTH + 4.0) " 46" } role="img" aria-label=(label(gate)) {
            line.axis x1="0" y1="30" x2=(WIDTH) y2="30" {}
            @if let (Some(lower), Some(upper)) = (numbers.lower, numbers.upper) {
                rect.band x=(x(lower)) y="12" width=((x(upper) - x(lower)).max(1.0)) height="18" {}
            }
            @if let Some(limit) = numbers.limit { line.limit x1=(x(limit)) y1="4" x2=(x(limit)) y2="36" {} }
            @if let Some(stable) = numbers.stable_rate { circle.stable cx=(x(stable)) cy="21" r="5" {} }
            @if let Some(rate) = numbers.rate { circle.canary cx=(x(rate)) cy="21" r="6" {} }
            text x="0" y="44" { "0 %" }
            text x=(WIDTH) y="44" text-anchor="end" { (text::percent(Some(top))) }
        }
    }
}

/// The right end of the axis: the limit and the rates fit, and a wide interval may be cut.
fn top(numbers: &Numbers) -> f64 {
    let marks = [numbers.rate, numbers.limit, numbers.stable_rate];
    let largest = marks.into_iter().flatten().fold(0.0_f64, f64::max);
    if largest > 0.0 { (largest * 2.0).min(1.0) } else { 0.01 }
}

fn label(gate: &GateVerdict) -> String {
    let numbers = &gate.verdict.numbers;
    format!(
        "{}: canary {}, between {} and {}; stable {}; limit {}",
        gate.gate,
        text::percent(numbers.rate),
        text::percent(numbers.lower),
        text::percent(numbers.upper),
        text::percent(numbers.stable_rate),
        text::percent(numbers.limit),
    )
}
