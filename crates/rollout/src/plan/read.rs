//! From text to a plan, or to everything that is wrong with it.

use super::findings::{Finding, Findings, Place};
use super::plan::{Budget, Plan};
use super::stages::{self, Frame};
use super::value::{self, LONG};
use super::yaml::{self, Broken, Kind, Node};
use super::{apart, listen, route, run, schema, service, shape, shield};
use crate::units::Millis;

/// Reads the plan file `text`, called `name`.
///
/// The plan comes with its warnings, in the order of the text.
///
/// # Errors
/// All findings, errors and warnings, when at least one is an error. A text that is no YAML
/// has one finding.
pub fn read(name: &str, text: &str) -> Result<(Plan, Vec<Finding>), Vec<Finding>> {
    let mut findings = Findings::new(name, text);
    let root = match yaml::parse(text) {
        Ok(root) => root,
        Err(Broken { code, message, span }) => {
            findings.error(code, Place { path: "", span }, message, None);
            return Err(findings.finish());
        }
    };
    let root = some_map(root);
    shape::check(&root, &schema::json_schema(), &mut findings);
    let plan = meant(&root, &mut findings);
    if findings.refuse() {
        return Err(findings.finish());
    }
    Ok((plan, findings.finish()))
}

/// An empty file is a plan that lacks every key.
fn some_map(root: Node) -> Node {
    match root.kind {
        Kind::Nothing => Node { kind: Kind::Map(Vec::new()), ..root },
        Kind::Text(_) | Kind::List(_) | Kind::Map(_) => root,
    }
}

/// The plan `root` means. Where something was found, a default stands in for it.
fn meant(root: &Node, findings: &mut Findings<'_>) -> Plan {
    let second = Millis::from_secs(1);
    let length = |key, default, bounds, findings: &mut Findings<'_>| {
        value::length(Some(root), key, default, &bounds, findings)
    };
    let (address, door) = listen::read(root, findings);
    let timeouts = service::timeouts(root, findings);
    let mut plan = Plan {
        service: value::name(root, "service", "service-name", findings),
        listen: address,
        door,
        route: route::read(root, findings),
        deploy: run::read(root, findings),
        sticky: service::sticky(root, findings),
        testers: apart::testers(root, findings),
        segments: apart::segments(root, findings),
        health: service::health(root, findings),
        timeouts,
        shield: shield::read(root, timeouts.answer(), findings),
        balance: service::balance(root, findings),
        drain: length(
            "drain",
            Millis::from_secs(30),
            Millis::ZERO..=Millis::from_secs(3_600),
            findings,
        ),
        stages: Vec::new(),
        bake: length("bake", Millis::ZERO, Millis::ZERO..=LONG, findings),
        hold_limit: length("hold_limit", Millis::from_secs(86_400), second..=LONG, findings),
        forgive: length(
            "forgive",
            Millis::from_secs(10),
            Millis(100)..=Millis::from_secs(600),
            findings,
        ),
        min_requests: u64::from(value::count(
            Some(root),
            "min_requests",
            100,
            1_000_000_000,
            findings,
        )),
        budget: Budget {
            false_rollback_rate: value::probability(root, "false_rollback_rate", 0.01, findings),
            false_pass_rate: value::probability(root, "false_pass_rate", 0.05, findings),
        },
        notify: service::notify(root, findings),
    };
    let frame = Frame { block: plan.block(), answer: plan.timeouts.answer() };
    plan.stages = stages::read(root, frame, findings);
    plan
}
