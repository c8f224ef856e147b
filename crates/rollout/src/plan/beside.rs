//! One plan beside another: whether their services can share an address.

use super::findings::{Finding, Findings, Place, Span};
use super::plan::Plan;
use super::yaml;
use crate::route::conflict;

/// What is wrong with `plan`, the plan file `text` called `name`, when `other` is in force,
/// too; an error. `None` when both can be, as when they are two plans of one service.
pub fn at_odds(name: &str, text: &str, plan: &Plan, other: &Plan) -> Option<Finding> {
    if plan.service == other.service || plan.listen != other.listen {
        return None;
    }
    let why = conflict((&plan.door, &plan.route), (&other.door, &other.route))?;
    let message =
        format!("{} cannot share {} with {}: {why}", plan.service, plan.listen, other.service);
    let help = "write other hosts or paths under `route`, the same settings under `listen`, or another address";
    let root = yaml::parse(text).ok();
    let node = root.as_ref().and_then(|root| root.get("route").or_else(|| root.get("listen")));
    let nowhere = Place { path: "", span: Span::default() };
    let mut findings = Findings::new(name, text);
    let place = node.map_or(nowhere, |node| node.place());
    findings.error("address-shared", place, message, Some(help.to_owned()));
    findings.finish().pop()
}
