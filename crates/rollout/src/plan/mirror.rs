//! `mirror`: of how many requests the new release gets a copy while nobody meets it.

use super::findings::Findings;
use super::stages::weight;
use super::yaml::Node;
use crate::units::Weight;

/// The share that is copied in a stage whose users are `traffic`. A stage has users or copies:
/// what is copied has no answer that anybody sees, and nothing a gate could be about.
pub(super) fn read(stage: &Node, traffic: Option<Weight>, findings: &mut Findings<'_>) -> Weight {
    let written = stage.get("mirror");
    let share = written.and_then(|node| weight(node, findings));
    match (traffic, written) {
        (Some(Weight::ZERO), None) => {
            let place = stage.get("traffic").unwrap_or(stage).place();
            let message = "read `0%`; allowed: more than 0%, or 0% in a stage with `mirror`";
            let help = Some("write `mirror: 10%` to send copies of safe requests".to_owned());
            findings.error("out-of-range", place, message, help);
        }
        (Some(Weight::ZERO), Some(node)) => {
            if share == Some(Weight::ZERO) {
                let message = "read `0%`; allowed: more than 0%, up to 100%";
                findings.error("out-of-range", node.place(), message, None);
            }
            refuse_gates(stage, findings);
        }
        (Some(users), Some(node)) => {
            let message = format!(
                "read `mirror` in a stage with {users} of the users; allowed: with `traffic: 0%`"
            );
            findings.error("mirror-with-users", node.place(), message, None);
            return Weight::ZERO;
        }
        (_, None) | (None, Some(_)) => {}
    }
    share.unwrap_or_default()
}

fn refuse_gates(stage: &Node, findings: &mut Findings<'_>) {
    for key in ["gates", "rollback_when"] {
        if let Some(node) = stage.get(key) {
            let message = format!(
                "read `{key}` in a stage of copies; allowed: in stages whose users meet the new release"
            );
            let help = Some("the report says how copies differ; no gate is about them".to_owned());
            findings.error("mirror-with-gates", node.place(), message, help);
        }
    }
}
