//! From a stage's conditions to its gates.

use super::condition;
use super::findings::{Findings, did_you_mean};
use super::gate::{Gate, Then};
use super::limit::{Around, Condition};
use super::metric;
use super::value;
use super::yaml::{Entry, Node};
use crate::units::Millis;

/// The gates of one stage in the order of the file: `gates`, then `rollback_when`.
pub(super) fn read(stage: &Node, around: Around, findings: &mut Findings<'_>) -> Vec<Gate> {
    let mut gates = Vec::new();
    for (key, must_hold) in [("gates", true), ("rollback_when", false)] {
        let entries = stage.get(key).map(Node::entries).unwrap_or_default();
        for entry in entries {
            gates.extend(gate(entry, must_hold, around, findings));
        }
    }
    gates
}

/// One gate, or nothing where something was found.
fn gate(
    entry: &Entry,
    must_hold: bool,
    around: Around,
    findings: &mut Findings<'_>,
) -> Option<Gate> {
    let measure = metric::find(&entry.key)?;
    let node = &entry.value;
    let limit = match node.text() {
        Some(_) => node,
        None => node.get("limit")?,
    };
    let written = limit.text()?;
    let parts = match condition::parse(written) {
        Ok(parts) => parts,
        Err(unread) => {
            findings.error(unread.code, limit.place(), unread.message, unread.help);
            return None;
        }
    };
    let lasting = if must_hold {
        breached_for(node, parts.lasting, around.block, findings)
    } else {
        gone_on_for(node, parts.lasting, around.block, findings).map(Some)
    }?;
    let mut condition = Condition {
        name: &entry.key,
        text: written,
        place: limit.place(),
        must_hold,
        lasting,
        around,
        findings,
    };
    let (metric, test) = condition.test(measure, parts.bound)?;
    let then = match node.get("then") {
        Some(then) => action(then, findings)?,
        None => Then::RollBack,
    };
    let reads = reads(written, lasting.filter(|_| must_hold));
    Some(Gate { metric, reads, test, then })
}

/// How long a gate may be broken: `Some(None)` where not at all.
#[expect(clippy::option_option, reason = "outside: was it readable; inside: was it written")]
fn breached_for(
    node: &Node,
    lasting: Option<&str>,
    block: Millis,
    findings: &mut Findings<'_>,
) -> Option<Option<Millis>> {
    if let Some(lasting) = lasting {
        let message = format!("read `for {lasting}` in a gate, which must hold all the time");
        let help = format!("write `{{ limit: ..., breached_for: {lasting} }}`");
        findings.error("sustained-in-gates", node.place(), message, Some(help));
        return None;
    }
    match node.get("breached_for") {
        Some(node) => at_least_a_block(node, node.text()?, block, findings).map(Some),
        None => Some(None),
    }
}

/// How long a breach under `rollback_when` goes on.
fn gone_on_for(
    node: &Node,
    lasting: Option<&str>,
    block: Millis,
    findings: &mut Findings<'_>,
) -> Option<Millis> {
    let Some(lasting) = lasting else {
        let message = "read a condition without `for`; allowed: `above 10% for 5m`";
        let help = "what may not be broken at all belongs under `gates`".to_owned();
        findings.error("missing-for", node.place(), message, Some(help));
        return None;
    };
    at_least_a_block(node, lasting, block, findings)
}

fn at_least_a_block(
    node: &Node,
    text: &str,
    block: Millis,
    findings: &mut Findings<'_>,
) -> Option<Millis> {
    let lasting = value::length_of(text, node.place(), findings)?;
    if lasting < block {
        let message = format!(
            "read {lasting}, which is shorter than a block of evidence; allowed: {block} or longer"
        );
        let help = "a block is three times `forgive`".to_owned();
        findings.error("breach-shorter-than-block", node.place(), message, Some(help));
    }
    Some(lasting)
}

fn action(node: &Node, findings: &mut Findings<'_>) -> Option<Then> {
    let text = node.text()?;
    match text {
        "roll back" => Some(Then::RollBack),
        "hold" => Some(Then::Hold),
        "alert" => Some(Then::Alert),
        _ => {
            let message = format!("read `{text}`; allowed: `roll back`, `hold` and `alert`");
            let help = did_you_mean(text, ["roll back", "hold", "alert"]);
            findings.error("unknown-action", node.place(), message, help);
            None
        }
    }
}

/// The condition for people, in single spaces.
fn reads(text: &str, breached_for: Option<Millis>) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let reads = words.join(" ");
    match breached_for {
        Some(lasting) => format!("{reads}, breached for {lasting}"),
        None => reads,
    }
}
