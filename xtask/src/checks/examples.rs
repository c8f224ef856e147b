//! Every folder of `examples/` explains itself and is run or read by something.

use std::collections::BTreeSet;

use crate::finding::Finding;
use crate::repo::Repo;

/// Every example, held against the rest of the tree.
pub(crate) fn check(repo: &Repo) -> Vec<Finding> {
    let names: BTreeSet<&str> = repo
        .texts
        .keys()
        .filter_map(|path| path.strip_prefix("examples/")?.split_once('/'))
        .map(|(name, _)| name)
        .collect();
    let mut findings = Vec::new();
    for name in names {
        let folder = format!("examples/{name}");
        if !repo.texts.contains_key(&format!("{folder}/README.md")) {
            let message = "has no README.md: say what it shows and how to run it";
            findings.push(Finding::on(&folder, message));
        }
        if !is_used(repo, name, &folder) {
            let message = "nothing runs or reads it, so nobody would notice when it breaks: name it in \
                           examples/run or in a test";
            findings.push(Finding::on(&folder, message));
        }
    }
    findings
}

/// Named by `examples/run`, or by its path in a Rust file or a script outside of it.
fn is_used(repo: &Repo, name: &str, folder: &str) -> bool {
    let runs = repo.texts.get("examples/run").is_some_and(|text| says(text, name));
    let reads = |path: &String| !path.starts_with(folder) && !is_prose(path);
    runs || repo.texts.iter().any(|(path, text)| reads(path) && says(text, folder))
}

fn is_prose(path: &str) -> bool {
    std::path::Path::new(path).extension().is_some_and(|extension| extension == "md")
}

/// Whether `word` stands in `text` and is not part of a longer name.
fn says(text: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|rest| rest.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|rest| rest.chars().next());
        !before.is_some_and(joins) && !after.is_some_and(joins)
    })
}

#[cfg(test)]
mod unit {
    use super::*;
    use crate::repo::tree;

    #[test]
    fn an_example_without_words_or_use_is_found() {
        let (_folder, repo) = tree::of(&[
            ("examples/run", "for name in canary; do :; done"),
            ("examples/canary/README.md", ""),
            ("examples/canary-long/README.md", ""),
            ("examples/waves/plan.yaml", ""),
            ("crates/a/tests/it/main.rs", "const PLAN: &str = \"examples/waves/plan.yaml\";"),
        ]);
        let found: Vec<String> =
            check(&repo).into_iter().map(|finding| finding.to_string()).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("examples/canary-long: nothing runs"), "{found:?}");
        assert!(found[1].starts_with("examples/waves: has no README.md"), "{found:?}");
    }
}
