//! How users are told apart, how versions are watched, who is told.

use super::findings::{Findings, did_you_mean};
use super::plan::Webhook;
use super::run::is_variable;
use super::value;
use super::yaml::Node;
use crate::route::{Balance, HealthCheck, Sticky, Timeouts};
use crate::units::Millis;

const SECOND: Millis = Millis::from_secs(1);

/// The check under `health`: a path, or a map.
pub(super) fn health(plan: &Node, findings: &mut Findings<'_>) -> HealthCheck {
    let node = plan.get("health");
    let path =
        node.and_then(|node| if node.text().is_some() { Some(node) } else { node.get("path") });
    let text = path.and_then(Node::text).unwrap_or("/");
    if let Some(path) = path
        && (!text.starts_with('/') || text.contains(char::is_whitespace))
    {
        let message = format!("read `{text}`; allowed: a path that starts with `/`");
        findings.error("health-path", path.place(), message, None);
    }
    let every = Millis(10)..=Millis::from_secs(600);
    let timeout = Millis(10)..=Millis::from_secs(60);
    HealthCheck {
        path: text.to_owned(),
        every: value::length(node, "every", SECOND, &every, findings),
        timeout: value::length(node, "timeout", SECOND, &timeout, findings),
        healthy_after: value::count(node, "healthy_after", 1, 1_000, findings),
        unhealthy_after: value::count(node, "unhealthy_after", 3, 1_000, findings),
    }
}

/// What ties a request to a user.
pub(super) fn sticky(plan: &Node, findings: &mut Findings<'_>) -> Sticky {
    let default = Sticky::Cookie("sluice_id".to_owned());
    let Some(node) = plan.get("sticky") else {
        return default;
    };
    let by = |key: &str| node.get(key).and_then(|by| Some((by, by.text()?)));
    let (by, text, sticky) = match (node.text(), by("cookie"), by("header")) {
        (Some("address"), _, _) => return Sticky::Address,
        (None, Some((by, text)), None) => (by, text, Sticky::Cookie(text.to_owned())),
        (None, None, Some((by, text))) => (by, text, Sticky::Header(text.to_owned())),
        (read, _, _) => {
            let read = read.map_or("none or both of `cookie` and `header`".to_owned(), |text| {
                format!("`{text}`")
            });
            let message = format!(
                "read {read}; allowed: `{{ cookie: name }}`, `{{ header: name }}` or `address`"
            );
            findings.error("sticky", node.place(), message, None);
            return default;
        }
    };
    if !is_token(text) {
        let message = format!("read `{text}`; allowed: letters, digits and any of !#$%&'*+-.^_`|~");
        findings.error("sticky", by.place(), message, None);
    }
    sticky
}

/// A token of RFC 9110, section 5.6.2: what names a header or a cookie.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}

/// The lengths under `timeouts`.
pub(super) fn timeouts(plan: &Node, findings: &mut Findings<'_>) -> Timeouts {
    let node = plan.get("timeouts");
    let bounds = Millis(1)..=Millis::from_secs(86_400);
    let whole = node.and_then(|node| node.get("total"));
    let total = whole.and_then(|total| value::bounded_length(total, &bounds, findings));
    let mut read = |key, default| value::length(node, key, default, &bounds, findings);
    Timeouts {
        total,
        head: read("head", Millis::from_secs(10)),
        connect: read("connect", SECOND),
        first_byte: read("first_byte", Millis::from_secs(60)),
        idle: read("idle", Millis::from_secs(60)),
    }
}

/// How requests are spread over upstreams.
pub(super) fn balance(plan: &Node, findings: &mut Findings<'_>) -> Balance {
    let node = plan.get("balance");
    let Some((node, text)) = node.and_then(|node| Some((node, node.text()?))) else {
        return Balance::default();
    };
    match text {
        "least-request" => Balance::LeastRequest,
        "round-robin" => Balance::RoundRobin,
        _ => {
            let message = format!("read `{text}`; allowed: `least-request` and `round-robin`");
            let help = did_you_mean(text, ["least-request", "round-robin"]);
            findings.error("balance", node.place(), message, help);
            Balance::default()
        }
    }
}

/// The receivers under `notify`.
pub(super) fn notify(plan: &Node, findings: &mut Findings<'_>) -> Vec<Webhook> {
    let receivers = plan.get("notify").map(Node::items).unwrap_or_default();
    receivers.iter().filter_map(|node| webhook(node, findings)).collect()
}

fn webhook(node: &Node, findings: &mut Findings<'_>) -> Option<Webhook> {
    let url = node.get("webhook")?;
    let text = url.text()?;
    if !is_http(text) {
        let message =
            format!("read `{text}`; allowed: an address that starts with https:// or http://");
        findings.error("webhook-url", url.place(), message, None);
    }
    let secret = node.get("secret").and_then(|node| secret(node, findings));
    Some(Webhook { url: text.to_owned(), secret })
}

fn is_http(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '['))
        && !url.contains(char::is_whitespace)
}

/// A reference to a secret. What is no reference may be the secret itself and is not repeated.
pub(super) fn secret(node: &Node, findings: &mut Findings<'_>) -> Option<String> {
    let text = node.text()?;
    let variable = text.strip_prefix("env:").is_some_and(is_variable);
    let file = text.strip_prefix("file:").is_some_and(|path| !path.trim().is_empty());
    if variable || file {
        return Some(text.to_owned());
    }
    let message = "read something that is no reference to a secret (not repeated here); allowed: `env:NAME` and `file:PATH`";
    let help =
        Some("keep the secret itself out of the plan; if it was real, replace it".to_owned());
    findings.error("secret-in-plan", node.place(), message, help);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_addresses_are_posted_to() {
        assert!(
            is_http("https://example.com/hook")
                && is_http("http://127.0.0.1:9/x")
                && is_http("http://[::1]:9")
        );
        assert!(!is_http("ftp://example.com") && !is_http("https://") && !is_http("https://a b"));
    }
}
