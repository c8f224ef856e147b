//! Which file declares which: the tree of `mod` lines.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Module, Source};

/// Every file that can be reached from `root` through `mod` lines, itself included.
pub(crate) fn reached(sources: &BTreeMap<String, Source>, root: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let Some(source) = sources.get(&path) else {
            continue;
        };
        if seen.insert(path.clone()) {
            let is_root = path == root;
            open.extend(source.modules.iter().flat_map(|module| files_of(&path, is_root, module)));
        }
    }
    seen
}

/// Files that only a `#[cfg(test)] mod` declares, with all they declare in turn.
pub(crate) fn only_for_tests(sources: &BTreeMap<String, Source>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (path, source) in sources {
        for module in source.modules.iter().filter(|module| module.test) {
            for file in files_of(path, is_root(path), module) {
                found.extend(descend(sources, &file));
            }
        }
    }
    found
}

fn descend(sources: &BTreeMap<String, Source>, from: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(path) = open.pop() {
        let Some(source) = sources.get(&path) else {
            continue;
        };
        if seen.insert(path.clone()) {
            open.extend(source.modules.iter().flat_map(|module| files_of(&path, false, module)));
        }
    }
    seen
}

fn is_root(path: &str) -> bool {
    matches!(path.rsplit('/').next(), Some("lib.rs" | "main.rs"))
}

/// Where the file of `module`, declared in `path`, may lie.
fn files_of(path: &str, is_root: bool, module: &Module) -> Vec<String> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    if let Some(given) = &module.path {
        return vec![format!("{folder}/{given}")];
    }
    let stem = name.strip_suffix(".rs").unwrap_or(name);
    let home =
        if is_root || stem == "mod" { folder.to_owned() } else { format!("{folder}/{stem}") };
    vec![format!("{home}/{}.rs", module.name), format!("{home}/{}/mod.rs", module.name)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::tree;

    #[test]
    fn mod_lines_are_followed_through_both_layouts() {
        let (_folder, repo) = tree::of(&[
            ("a/src/lib.rs", "mod one; mod two; #[cfg(test)] mod kit;"),
            ("a/src/one.rs", "mod inner;"),
            ("a/src/one/inner.rs", ""),
            ("a/src/two/mod.rs", "mod deep;"),
            ("a/src/two/deep.rs", ""),
            ("a/src/kit.rs", ""),
            ("a/src/lost.rs", ""),
        ]);
        let reached = reached(&repo.sources, "a/src/lib.rs");
        assert_eq!(reached.len(), 6);
        assert!(!reached.contains("a/src/lost.rs"));
        assert!(repo.is_test("a/src/kit.rs"));
        assert!(!repo.is_test("a/src/one.rs"));
    }
}
