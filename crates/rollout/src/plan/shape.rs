//! Whether a plan has the keys a plan has, and maps, lists and texts where they belong.
//!
//! One walk along the tree and the schema of [`super::file`]; values are not judged here.

use serde_json::Value;

use super::findings::{Findings, Place, did_you_mean, listed};
use super::metric;
use super::yaml::{Entry, Kind, Node};

/// Reports every key that is unknown, missing or written twice, and every value of the
/// wrong kind.
pub(super) fn check(node: &Node, schema: &Value, findings: &mut Findings<'_>) {
    let forms = forms(schema);
    let Some(form) = forms.iter().find(|form| fits(node, form)) else {
        let mut allowed: Vec<&str> = forms.iter().map(|form| kind_of_form(form)).collect();
        allowed.dedup();
        let allowed = allowed.join(" or ");
        let message = format!("read {}; allowed: {allowed}", kind_of_node(node));
        findings.error("wrong-kind", node.place(), message, None);
        return;
    };
    match &node.kind {
        Kind::Map(entries) => check_map(node, entries, form, findings),
        Kind::List(items) => {
            let inner = form.get("items").unwrap_or(&Value::Null);
            for item in items {
                check(item, inner, findings);
            }
        }
        Kind::Nothing | Kind::Text(_) => {}
    }
}

/// The forms a value may take: a schema's branches, or the schema itself.
fn forms(schema: &Value) -> Vec<&Value> {
    let branches = ["anyOf", "oneOf"].iter().find_map(|key| schema.get(key)?.as_array());
    branches.map_or_else(|| vec![schema], |branches| branches.iter().collect())
}

fn fits(node: &Node, form: &Value) -> bool {
    let kind = form.get("type").and_then(Value::as_str).unwrap_or("string");
    match node.kind {
        Kind::Nothing => false,
        Kind::Text(_) => kind == "string" || kind == "integer",
        Kind::List(_) => kind == "array",
        Kind::Map(_) => kind == "object",
    }
}

fn kind_of_form(form: &Value) -> &'static str {
    match form.get("type").and_then(Value::as_str) {
        Some("object") => "a map (`key: value`)",
        Some("array") => "a list (`[a, b]`)",
        Some("integer") => "a whole number",
        _ => "text",
    }
}

const fn kind_of_node(node: &Node) -> &'static str {
    match node.kind {
        Kind::Nothing => "nothing",
        Kind::Text(_) => "text",
        Kind::List(_) => "a list",
        Kind::Map(_) => "a map",
    }
}

fn check_map(node: &Node, entries: &[Entry], form: &Value, findings: &mut Findings<'_>) {
    let properties = form.get("properties").and_then(Value::as_object);
    let others = form.get("additionalProperties").filter(|other| other.is_object());
    for (position, entry) in entries.iter().enumerate() {
        let before = entries.iter().take(position);
        if before.clone().any(|other| other.key == entry.key) {
            let message = format!("read `{}` a second time; allowed: once", entry.key);
            findings.error("duplicate-key", entry.place(), message, None);
        }
        match properties.and_then(|known| known.get(&entry.key)).or(others) {
            Some(inner) => check(&entry.value, inner, findings),
            None => unknown(node, entry, form, findings),
        }
    }
    for key in words(form.get("required")) {
        if node.get(key).is_none() {
            let allowed = properties.and_then(|known| known.get(key)).and_then(described);
            let message = format!("`{key}` is missing");
            findings.error("missing-key", node.first_line(), message, allowed);
        }
    }
}

fn unknown(node: &Node, entry: &Entry, form: &Value, findings: &mut Findings<'_>) {
    if ["gates", "rollback_when"].iter().any(|map| node.path.ends_with(map)) {
        metric::report_unknown(entry, findings);
        return;
    }
    let properties = form.get("properties").and_then(Value::as_object);
    let known: Vec<&str> =
        properties.into_iter().flat_map(|known| known.keys().map(String::as_str)).collect();
    let message =
        format!("read the unknown key `{}`; allowed: {}", entry.key, listed(known.iter().copied()));
    findings.error("unknown-key", entry.place(), message, did_you_mean(&entry.key, known));
}

fn words(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// What the schema says of a key.
fn described(schema: &Value) -> Option<String> {
    schema.get("description")?.as_str().map(str::to_owned)
}

impl Node {
    /// Where the value stands.
    pub(super) fn place(&self) -> Place<'_> {
        Place { path: &self.path, span: self.span }
    }

    /// The start of the value, for what is missing from it.
    fn first_line(&self) -> Place<'_> {
        let first = self.entries().first().map(|entry| entry.key_span);
        Place { path: &self.path, span: first.unwrap_or(self.span) }
    }
}

impl Entry {
    /// Where the key stands.
    pub(super) fn place(&self) -> Place<'_> {
        Place { path: &self.value.path, span: self.key_span }
    }
}
