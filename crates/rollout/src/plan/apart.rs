//! Who is on a side whatever the bucket, as written and as meant.

use super::findings::Findings;
use super::plan::Testers;
use super::service::{is_token, secret};
use super::yaml::{Kind, Node};
use crate::route::{Mark, Segment, Segments};

/// Fields a message cannot do without, or that mean something to the proxy: the testers' header
/// is taken out of every request.
const NEEDED: [&str; 14] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "idempotency-key",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];

/// The testers under `testers`.
pub(super) fn testers(plan: &Node, findings: &mut Findings<'_>) -> Option<Testers> {
    let node = plan.get("testers")?;
    let (header, text) = node.get("header").and_then(|node| Some((node, node.text()?)))?;
    let name = text.to_ascii_lowercase();
    if !is_token(text) {
        let message =
            format!("read `{text}`; allowed: the name of a header, as in `X-Sluice-Canary`");
        findings.error("testers", header.place(), message, None);
    } else if NEEDED.contains(&name.as_str()) || name.starts_with("x-forwarded-") {
        let message = format!(
            "read `{text}`, which is taken out of every request; allowed: a header of its own, as in `X-Sluice-Canary`"
        );
        findings.error("testers", header.place(), message, None);
    }
    let secret = node.get("secret").and_then(|node| secret(node, findings))?;
    Some(Testers { header: name, secret })
}

/// The segments under `segments`.
pub(super) fn segments(plan: &Node, findings: &mut Findings<'_>) -> Segments {
    let node = plan.get("segments");
    let mut each = |key: &str| {
        let listed = node.and_then(|node| node.get(key)).map(Node::items).unwrap_or_default();
        listed.iter().filter_map(|node| segment(node, findings)).collect()
    };
    Segments { always: each("always"), never: each("never") }
}

fn segment(node: &Node, findings: &mut Findings<'_>) -> Option<Segment> {
    let by = |key: &str| node.get(key).and_then(|by| Some((by, by.text()?.to_owned())));
    let (by, mark) = match (by("header"), by("cookie")) {
        (Some((by, name)), None) => (by, Mark::Header(name)),
        (None, Some((by, name))) => (by, Mark::Cookie(name)),
        (header, _) => {
            let read = if header.is_some() { "both" } else { "neither" };
            let message = format!(
                "read {read} of `header` and `cookie`; allowed: `{{ header: name, in: [value] }}` or `{{ cookie: name, in: [value] }}`"
            );
            findings.error("segment", node.place(), message, None);
            return None;
        }
    };
    let (Mark::Header(name) | Mark::Cookie(name)) = &mark;
    if !is_token(name) {
        let message = format!("read `{name}`; allowed: letters, digits and any of !#$%&'*+-.^_`|~");
        findings.error("segment", by.place(), message, None);
    }
    let list = node.get("in")?;
    if matches!(&list.kind, Kind::List(items) if items.is_empty()) {
        let message = "read an empty list; allowed: at least one value";
        findings.error("segment", list.place(), message, None);
    }
    let texts = list.items().iter().filter_map(Node::text).map(ToOwned::to_owned);
    Some(Segment { mark, values: texts.collect() })
}
