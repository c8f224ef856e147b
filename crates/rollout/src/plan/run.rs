//! How a version is run, as written and as meant.

use std::collections::BTreeMap;

use super::findings::{Findings, Place, did_you_mean};
use super::plan::Deploy;
use super::value;
use super::yaml::Node;
use crate::route::Protocol;
use crate::units::Millis;

/// What may stand in braces.
const PLACEHOLDERS: [&str; 2] = ["version", "port"];
/// Most processes of one version.
const REPLICAS: u32 = 100;
/// Words that mean something to a shell only.
const SHELL_WORDS: [&str; 8] = ["|", "||", "&&", "&", ";", ">", ">>", "<"];

/// The map under `run`.
pub(super) fn read(plan: &Node, findings: &mut Findings<'_>) -> Deploy {
    let run = plan.get("run");
    let command = run.and_then(|run| run.get("command"));
    let words = command.map(|node| command_words(node, findings));
    let env = env(run, findings);
    if let (Some(node), Some(Some(words))) = (command, &words) {
        check_port(node, words, &env, findings);
    }
    let bounds = Millis(100)..=Millis::from_secs(3_600);
    Deploy {
        command: words.flatten().unwrap_or_default(),
        env,
        directory: run.and_then(|run| run.get("directory")?.text().map(str::to_owned)),
        ready_within: value::length(run, "ready_within", Millis::from_secs(30), &bounds, findings),
        protocol: protocol(run, findings),
        replicas: value::count(run, "replicas", 1, REPLICAS, findings),
    }
}

/// What the version speaks.
fn protocol(run: Option<&Node>, findings: &mut Findings<'_>) -> Protocol {
    let node = run.and_then(|run| run.get("protocol"));
    let Some((node, text)) = node.and_then(|node| Some((node, node.text()?))) else {
        return Protocol::Http1;
    };
    match text {
        "http1" => Protocol::Http1,
        "h2c" => Protocol::H2c,
        _ => {
            let message = format!("read `{text}`; allowed: `http1` and `h2c`");
            findings.error("protocol", node.place(), message, did_you_mean(text, ["http1", "h2c"]));
            Protocol::Http1
        }
    }
}

fn command_words(node: &Node, findings: &mut Findings<'_>) -> Option<Vec<String>> {
    let words = match node.text() {
        Some(text) => split(text, node.place(), findings)?,
        None => node.items().iter().filter_map(|item| item.text().map(str::to_owned)).collect(),
    };
    if words.first().is_none_or(|program| program.trim().is_empty()) {
        let message = "read no program; allowed: a program and its arguments";
        findings.error("invalid-command", node.place(), message, None);
        return None;
    }
    for word in &words {
        check_placeholders(word, node.place(), findings);
    }
    Some(words)
}

/// Splits as a shell would. Shell words are passed on as they are, which is seldom meant.
fn split(text: &str, place: Place<'_>, findings: &mut Findings<'_>) -> Option<Vec<String>> {
    let Some(words) = shlex::split(text) else {
        let message =
            format!("read `{text}`, in which a quote is not closed; allowed: closed quotes");
        findings.error("invalid-command", place, message, None);
        return None;
    };
    if let Some(word) = words.iter().find(|word| SHELL_WORDS.contains(&word.as_str())) {
        let message = format!("read `{word}`, which is passed on as an argument: no shell runs");
        let help = Some("write `sh -c '...'` if a shell is meant".to_owned());
        findings.warning("shell-word", place, message, help);
    }
    Some(words)
}

fn env(run: Option<&Node>, findings: &mut Findings<'_>) -> BTreeMap<String, String> {
    let entries = run.and_then(|run| run.get("env")).map(Node::entries).unwrap_or_default();
    let mut env = BTreeMap::new();
    for entry in entries {
        let Some(text) = entry.value.text() else {
            continue;
        };
        if !is_variable(&entry.key) {
            let message = format!(
                "read the variable `{}`; allowed: letters, digits and `_`, no digit first",
                entry.key
            );
            findings.error("invalid-variable", entry.place(), message, None);
        }
        check_placeholders(text, entry.value.place(), findings);
        env.insert(entry.key.clone(), text.to_owned());
    }
    env
}

/// Whether `name` can name an environment variable.
pub(super) fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn check_port(
    node: &Node,
    words: &[String],
    env: &BTreeMap<String, String>,
    findings: &mut Findings<'_>,
) {
    if words.iter().chain(env.values()).any(|text| text.contains("{port}")) {
        return;
    }
    let message = "`{port}` appears neither in the command nor in `env`, so a version cannot know where to listen";
    let help =
        Some("write `--port {port}` in the command, or `env: { PORT: \"{port}\" }`".to_owned());
    findings.error("missing-port", node.place(), message, help);
}

fn check_placeholders(text: &str, place: Place<'_>, findings: &mut Findings<'_>) {
    for name in placeholders(text).filter(|name| !PLACEHOLDERS.contains(name)) {
        let message = format!(
            "read the unknown placeholder `{{{name}}}`; allowed: `{{version}}` and `{{port}}`"
        );
        findings.error("unknown-placeholder", place, message, did_you_mean(name, PLACEHOLDERS));
    }
}

/// The words in braces. Other braces, as in JSON, are left alone.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    let after_brace = text.split('{').skip(1);
    after_brace.filter_map(|rest| rest.split_once('}').map(|(name, _)| name)).filter(|name| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_words_in_braces() {
        let read: Vec<_> = placeholders(r#"{port} a{b_c} {"x": {}} {1} {open"#).collect();
        assert_eq!(read, ["port", "b_c"]);
    }
}
