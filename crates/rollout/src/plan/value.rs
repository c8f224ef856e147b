//! One value at a time: its text, its bounds, and what to say when it is wrong.

use std::ops::RangeInclusive;

use super::findings::{Findings, Place};
use super::quantity::{self, WHOLE, Wrong};
use super::yaml::Node;
use crate::units::Millis;

/// 90 days, the longest stage, bake or hold.
pub(super) const LONG: Millis = Millis(90 * 86_400_000);

/// The length of time under `key`, or `default` where there is none.
///
/// After a finding the default is returned too: the plan is refused anyway.
pub(super) fn length(
    map: Option<&Node>,
    key: &str,
    default: Millis,
    bounds: &RangeInclusive<Millis>,
    findings: &mut Findings<'_>,
) -> Millis {
    let Some(node) = map.and_then(|map| map.get(key)) else {
        return default;
    };
    bounded_length(node, bounds, findings).unwrap_or(default)
}

/// The length of time `node` holds, where it is one within `bounds`.
pub(super) fn bounded_length(
    node: &Node,
    bounds: &RangeInclusive<Millis>,
    findings: &mut Findings<'_>,
) -> Option<Millis> {
    let text = node.text()?;
    let length = length_of(text, node.place(), findings)?;
    if bounds.contains(&length) {
        return Some(length);
    }
    let message = format!("read `{text}`; allowed: {} to {}", bounds.start(), bounds.end());
    findings.error("out-of-range", node.place(), message, None);
    None
}

/// A length of time in whole milliseconds.
pub(super) fn length_of(
    text: &str,
    place: Place<'_>,
    findings: &mut Findings<'_>,
) -> Option<Millis> {
    let micros = microseconds_of(text, place, findings)?;
    if micros.checked_rem(1_000) == Some(0) {
        return micros.checked_div(1_000).map(Millis);
    }
    let message = format!("read `{text}`; allowed: whole milliseconds");
    findings.error("invalid-duration", place, message, None);
    None
}

/// A length of time in microseconds.
pub(super) fn microseconds_of(
    text: &str,
    place: Place<'_>,
    findings: &mut Findings<'_>,
) -> Option<u64> {
    let wrong = match quantity::microseconds(text) {
        Ok(micros) => return Some(micros),
        Err(wrong) => wrong,
    };
    let read = wrong.instead_of("length of time");
    let message = format!("read `{text}`, {read}; allowed: `200ms`, `30s`, `5m`, `1h 30m`, `7d`");
    let help = (wrong == Wrong::Bare).then(|| {
        let number = text.trim();
        format!("did you mean `{number}ms` or `{number}s`?")
    });
    findings.error(code(&wrong, "invalid-duration"), place, message, help);
    None
}

/// The size under `key` in bytes, where there is one within `bounds`.
pub(super) fn size(
    map: Option<&Node>,
    key: &str,
    bounds: &RangeInclusive<u64>,
    findings: &mut Findings<'_>,
) -> Option<u64> {
    let (node, text) =
        map.and_then(|map| map.get(key)).and_then(|node| Some((node, node.text()?)))?;
    let wrong = match quantity::bytes(text) {
        Ok(size) if bounds.contains(&size) => return Some(size),
        Ok(_) => {
            let (least, most) = (quantity::size(*bounds.start()), quantity::size(*bounds.end()));
            let message = format!("read `{text}`; allowed: {least} to {most}");
            findings.error("out-of-range", node.place(), message, None);
            return None;
        }
        Err(wrong) => wrong,
    };
    let read = wrong.instead_of("size");
    let message = format!("read `{text}`, {read}; allowed: `512B`, `64KiB`, `10MiB`, `1GiB`");
    findings.error(code(&wrong, "invalid-size"), node.place(), message, None);
    None
}

/// A percentage in millionths of a percent, at most 100 %.
pub(super) fn share_of(text: &str, place: Place<'_>, findings: &mut Findings<'_>) -> Option<u64> {
    let wrong = match quantity::percentage(text) {
        Ok(share) if share <= WHOLE => return Some(share),
        Ok(_) => {
            let message = format!("read `{text}`; allowed: at most 100%");
            findings.error("out-of-range", place, message, None);
            return None;
        }
        Err(wrong) => wrong,
    };
    let read = wrong.instead_of("percentage");
    let message = format!("read `{text}`, {read}; allowed: `1%`, `0.5%`");
    let help = (wrong == Wrong::Bare).then(|| format!("did you mean `{}%`?", text.trim()));
    findings.error(code(&wrong, "invalid-percentage"), place, message, help);
    None
}

/// The probability under `key`, above 0 and at most one half; or `default`.
#[expect(clippy::cast_precision_loss, reason = "at most 10^8, which a float holds exactly")]
pub(super) fn probability(map: &Node, key: &str, default: f64, findings: &mut Findings<'_>) -> f64 {
    let Some((node, text)) = map.get(key).and_then(|node| Some((node, node.text()?))) else {
        return default;
    };
    match share_of(text, node.place(), findings) {
        Some(share) if share > 0 && share <= WHOLE / 2 => share as f64 / WHOLE as f64,
        Some(_) => {
            let message = format!("read `{text}`; allowed: more than 0% and at most 50%");
            findings.error("out-of-range", node.place(), message, None);
            default
        }
        None => default,
    }
}

/// The whole number under `key`, or `default`.
pub(super) fn count(
    map: Option<&Node>,
    key: &str,
    default: u32,
    most: u32,
    findings: &mut Findings<'_>,
) -> u32 {
    let found = map.and_then(|map| map.get(key));
    let Some((node, text)) = found.and_then(|node| Some((node, node.text()?))) else {
        return default;
    };
    match text.replace('_', "").parse::<u32>() {
        Ok(number) if (1..=most).contains(&number) => number,
        _ => {
            let message = format!("read `{text}`; allowed: a whole number from 1 to {most}");
            findings.error("invalid-number", node.place(), message, None);
            default
        }
    }
}

/// Whether `text` is a name: a lower-case letter, then lower-case letters, digits and `-`, at
/// most 40.
pub(super) fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(plain)
}

/// The text under `key` as a name, or an empty one after a finding.
pub(super) fn name(
    map: &Node,
    key: &str,
    code: &'static str,
    findings: &mut Findings<'_>,
) -> String {
    let Some((node, text)) = map.get(key).and_then(|node| Some((node, node.text()?))) else {
        return String::new();
    };
    if !is_name(text) {
        let message = format!(
            "read `{text}`; allowed: a lower-case letter, then lower-case letters, digits and `-`, at most 40"
        );
        let fixed = text.to_lowercase().replace(['_', ' ', '.'], "-");
        let help = is_name(&fixed).then(|| format!("did you mean `{fixed}`?"));
        findings.error(code, node.place(), message, help);
    }
    text.to_owned()
}

const fn code(wrong: &Wrong, otherwise: &'static str) -> &'static str {
    match wrong {
        Wrong::Bare => "number-without-unit",
        _ => otherwise,
    }
}
