//! Which requests on its address are the service's, as written and as meant.

use super::findings::Findings;
use super::yaml::{Kind, Node};
use crate::route::{Route, is_host, is_path};

/// The hosts and paths under `route`.
pub(super) fn read(plan: &Node, findings: &mut Findings<'_>) -> Route {
    let Some(node) = plan.get("route") else {
        return Route::default();
    };
    Route {
        hosts: each(node, "hosts", "route-host", host, findings),
        paths: each(node, "paths", "route-path", path, findings),
    }
}

/// What is listed under `key`, each once.
fn each(
    route: &Node,
    key: &str,
    code: &'static str,
    read: fn(&Node, &mut Findings<'_>) -> Option<String>,
    findings: &mut Findings<'_>,
) -> Vec<String> {
    let Some(list) = route.get(key) else {
        return Vec::new();
    };
    if matches!(&list.kind, Kind::List(items) if items.is_empty()) {
        let message = format!("read an empty list; allowed: at least one, or no `{key}` for all");
        findings.error(code, list.place(), message, None);
    }
    let mut all = Vec::new();
    for text in list.items().iter().filter_map(|node| read(node, findings)) {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all
}

/// A host, in lower case.
fn host(node: &Node, findings: &mut Findings<'_>) -> Option<String> {
    let text = node.text()?;
    let host = text.to_ascii_lowercase();
    if is_host(&host) {
        return Some(host);
    }
    let message = format!("read `{text}`; allowed: `shop.example` or `*.shop.example`");
    let bare = host.trim_start_matches("https://").trim_start_matches("http://");
    let bare = bare.split(['/', ':']).next().unwrap_or_default();
    let help = if host == "*" {
        Some("leave `hosts` out to take any".to_owned())
    } else {
        is_host(bare).then(|| format!("did you mean `{bare}`? Ports and paths are no part of it"))
    };
    findings.error("route-host", node.place(), message, help);
    None
}

/// A path that begins with `/` and is written in one way only.
fn path(node: &Node, findings: &mut Findings<'_>) -> Option<String> {
    let text = node.text()?;
    if is_path(text) {
        return Some(text.to_owned());
    }
    let message = format!(
        "read `{text}`; allowed: `/api` or `/api/v1`, of letters, digits and any of -._~!$&'()*+,=:@"
    );
    let bare = format!("/{}", text.trim_end_matches('*').trim_matches('/'));
    let help =
        is_path(&bare).then(|| format!("did you mean `{bare}`? It is for all below it, too"));
    findings.error("route-path", node.place(), message, help);
    None
}
