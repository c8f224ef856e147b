//! Whether and how stable answers what the canary fails, as written and as meant.

use super::findings::Findings;
use super::value;
use super::yaml::Node;
use crate::route::{Shield, ShieldErrors};
use crate::units::Millis;

/// Before stable is asked as well, where the plan does not say and the first byte may take
/// twice as long; else half of that.
const TIMEOUT: Millis = Millis::from_secs(5);
/// Bytes of a request's body that are kept, where the plan does not say.
const BODY_BYTES: u32 = 64 * 1024;
/// Most bytes that may be kept: they are memory, for every request under way.
const MOST_BODY_BYTES: u32 = 16 * 1024 * 1024;

/// The shield under `shield`; `None` when it is off.
pub(super) fn read(
    plan: &Node,
    (most, key): (Millis, &str),
    findings: &mut Findings<'_>,
) -> Option<Shield> {
    let node = plan.get("shield");
    if let Some((node, text)) = node.and_then(|node| Some((node, node.text()?))) {
        if text != "off" {
            let message = format!("read `{text}`; allowed: `off`, or a map");
            findings.error("shield", node.place(), message, None);
        }
        return None;
    }
    let default = TIMEOUT.min(Millis(most.0.checked_div(2).unwrap_or_default().max(1)));
    let bounds = Millis(1)..=Millis::from_secs(86_400);
    let timeout = value::length(node, "timeout", default, &bounds, findings);
    let written = node.and_then(|node| node.get("timeout"));
    if let Some(written) = written.filter(|_| timeout >= most) {
        let message = format!("read `{timeout}`; allowed: less than `{key}`, which is {most}");
        findings.error("shield-timeout", written.place(), message, None);
    }
    Some(Shield {
        timeout,
        body_limit: value::count(node, "body_limit", BODY_BYTES, MOST_BODY_BYTES, findings).into(),
        errors: word(
            node,
            "errors",
            [("gateway", ShieldErrors::Gateway), ("all", ShieldErrors::All)],
            findings,
        ),
        mark: word(node, "header", [("off", false), ("on", true)], findings),
    })
}

/// What the word under `key` means: one of two, the first where there is none.
fn word<T: Copy>(
    map: Option<&Node>,
    key: &str,
    words: [(&str, T); 2],
    findings: &mut Findings<'_>,
) -> T {
    let [(first, default), (second, other)] = words;
    let Some((node, text)) =
        map.and_then(|map| map.get(key)).and_then(|node| Some((node, node.text()?)))
    else {
        return default;
    };
    if text == second {
        return other;
    }
    if text != first {
        let message = format!("read `{text}`; allowed: `{first}` or `{second}`");
        findings.error("shield", node.place(), message, None);
    }
    default
}
