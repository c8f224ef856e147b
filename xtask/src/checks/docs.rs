//! Documentation leads somewhere: links resolve, and each library opens with its design.

use std::path::Path;

use crate::finding::Finding;
use crate::repo::Repo;

/// Links of every Markdown file, and the first line of every library.
pub(crate) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in repo.texts.iter().filter(|(path, _)| is_markdown(path)) {
        for (line, target) in links(text) {
            if let Err(cause) = resolve(repo, path, target) {
                findings.push(Finding::at(path, line, format!("links to `{target}`: {cause}")));
            }
        }
    }
    for package in repo.packages() {
        let root = format!("{package}/src/lib.rs");
        if repo.texts.get(&root).is_some_and(|text| !text.starts_with("//!")) {
            let message = "does not begin with `//!`: a library opens with its design in prose";
            findings.push(Finding::at(&root, 1, message));
        }
    }
    findings
}

/// Every inline link `[...](target)` outside code, with its line.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code || line.starts_with("    ") {
            continue;
        }
        for part in line.split("](").skip(1) {
            let target = part.split([')', ' ']).next().unwrap_or("");
            found.push((at + 1, target));
        }
    }
    found
}

fn resolve(repo: &Repo, from: &str, target: &str) -> Result<(), String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return Ok(());
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { from.to_owned() } else { join(from, file) };
    if !repo.paths.contains(&path) {
        return Err(format!("there is no {path}"));
    }
    let Some(text) = repo.texts.get(&path).filter(|_| is_markdown(&path) && !anchor.is_empty())
    else {
        return Ok(());
    };
    let known = text.lines().filter(|line| line.starts_with('#')).any(|line| slug(line) == anchor);
    if known { Ok(()) } else { Err(format!("{path} has no heading `#{anchor}`")) }
}

/// `target` as seen from the folder of `from`, relative to the root.
fn join(from: &str, target: &str) -> String {
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// The name a heading gets on the web: lower case, dashes for spaces, other marks dropped.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn is_markdown(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "md")
}

#[cfg(test)]
mod unit {
    use super::*;
    use crate::repo::tree;

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let readme = "# Sluice\n[a](docs/a.md) [b](docs/b.md) [c](https://x.org/y)\n\
                      [d](docs/a.md#two-words) [e](docs/a.md#three) [f](#sluice)\n\
                      ```\n[g](nowhere)\n```\n";
        let (_folder, repo) = tree::of(&[
            ("README.md", readme),
            ("docs/a.md", "## Two words\n[up](../README.md) [folder](../docs)"),
        ]);
        let found: Vec<String> =
            check(&repo).into_iter().map(|finding| finding.to_string()).collect();
        assert_eq!(
            found,
            [
                "README.md:2: links to `docs/b.md`: there is no docs/b.md",
                "README.md:3: links to `docs/a.md#three`: docs/a.md has no heading `#three`",
            ]
        );
    }

    #[test]
    fn a_library_without_a_preface_is_found() {
        let (_folder, repo) =
            tree::of(&[("crates/a/Cargo.toml", ""), ("crates/a/src/lib.rs", "pub mod x {}")]);
        assert_eq!(check(&repo).len(), 1);
    }
}
