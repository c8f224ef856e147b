//! No Rust file is forgotten: cargo builds each through a `mod` line, and tests into one binary.

use std::collections::BTreeSet;

use crate::finding::Finding;
use crate::modules;
use crate::repo::Repo;

/// Every package's files, held against what cargo would reach.
pub(crate) fn check(repo: &Repo) -> Vec<Finding> {
    repo.packages().flat_map(|package| forgotten(repo, package)).collect()
}

fn forgotten(repo: &Repo, package: &str) -> Vec<Finding> {
    let of_package =
        |path: &&String| path.strip_prefix(package).is_some_and(|rest| rest.starts_with('/'));
    let files: Vec<&String> = repo.sources.keys().filter(of_package).collect();
    let roots = files.iter().filter(|path| is_root(path, package));
    let reached: BTreeSet<String> =
        roots.flat_map(|root| modules::reached(&repo.sources, root)).collect();
    let lost = files.into_iter().filter(|path| !reached.contains(*path));
    lost.map(|path| Finding::on(path, reason(path, package))).collect()
}

/// Whether cargo starts reading at this file.
fn is_root(path: &str, package: &str) -> bool {
    let inside = path.strip_prefix(package).unwrap_or(path).trim_start_matches('/');
    let parts: Vec<&str> = inside.split('/').collect();
    matches!(
        parts.as_slice(),
        ["build.rs"]
            | ["src", "lib.rs" | "main.rs"]
            | ["tests", "it", "main.rs"]
            | ["src", "bin", _]
            | ["src", "bin", _, "main.rs"]
            | ["benches" | "examples" | "fuzz_targets", _]
            | ["benches" | "examples", _, "main.rs"]
            | ["fuzz", "fuzz_targets", _]
    )
}

fn reason(path: &str, package: &str) -> String {
    if path.starts_with(&format!("{package}/tests/")) {
        "no `mod` line leads here from tests/it/main.rs: its tests never run; a crate has one test \
         binary, because each more is linked and started anew"
            .into()
    } else {
        "no `mod` line leads here: it is never compiled".into()
    }
}

#[cfg(test)]
mod unit {
    use super::*;
    use crate::repo::tree;

    #[test]
    fn files_nobody_declares_are_found() {
        let (_folder, repo) = tree::of(&[
            ("crates/a/Cargo.toml", ""),
            ("crates/a/src/lib.rs", "mod kept;"),
            ("crates/a/src/kept.rs", ""),
            ("crates/a/src/lost.rs", ""),
            ("crates/a/tests/it/main.rs", "mod proxy;"),
            ("crates/a/tests/it/proxy.rs", ""),
            ("crates/a/tests/it/guard.rs", ""),
            ("crates/a/tests/second.rs", ""),
            ("crates/a/src/bin/tool.rs", ""),
        ]);
        let places: Vec<String> = check(&repo).into_iter().map(|finding| finding.place).collect();
        let expected =
            ["crates/a/src/lost.rs", "crates/a/tests/it/guard.rs", "crates/a/tests/second.rs"];
        assert_eq!(places, expected);
    }
}
