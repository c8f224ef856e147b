//! Files and functions stay short: the limits of `xtask/ratchet.json`.

use crate::finding::Finding;
use crate::ratchet::{PLACE, Ratchet};
use crate::repo::Repo;
use crate::sizes::{SHORT, Sizes, percentile};

/// How many of the longest are named when too many are long.
const NAMED: usize = 5;

/// The tree's lengths, held against the ratchet.
pub(crate) fn check(repo: &Repo) -> Vec<Finding> {
    let limits = match Ratchet::read(repo) {
        Ok(limits) => limits,
        Err(cause) => return vec![Finding::on(PLACE, cause)],
    };
    let mut findings = too_long(repo, limits.file_max);
    findings.extend(too_many(repo, &limits));
    if findings.is_empty() && limits.tightened(repo) != limits {
        println!("  the tree is better than {PLACE}; `cargo xtask ratchet` keeps it so");
    }
    findings
}

fn too_long(repo: &Repo, most: usize) -> Vec<Finding> {
    let long = repo.sources.iter().filter(|(_, source)| source.lines > most);
    long.map(|(path, source)| {
        let message = format!(
            "has {} lines, {most} are allowed: a file holds one idea; give each thing with a name \
             of its own a file",
            source.lines
        );
        Finding::on(path, message)
    })
    .collect()
}

fn too_many(repo: &Repo, limits: &Ratchet) -> Vec<Finding> {
    let sizes = Sizes::of(repo);
    let mut findings = Vec::new();
    for (what, lines, most, names) in [
        ("the median file", percentile(&sizes.files, 50), limits.file_median, longest_files(repo)),
        (
            "the 95th of 100 files",
            percentile(&sizes.files, 95),
            limits.file_p95,
            longest_files(repo),
        ),
        (
            "the 95th of 100 functions",
            percentile(&sizes.functions, 95),
            limits.function_p95,
            longest_functions(repo),
        ),
    ] {
        if lines > most {
            let message = format!("{what} has {lines} lines, {most} are allowed; longest: {names}");
            findings.push(Finding::on(PLACE, message));
        }
    }
    let short = sizes.short_percent();
    if short < limits.short_percent {
        let message = format!(
            "{short:.1} % of functions are within {SHORT} lines, {:.1} % are asked for; longest: {}",
            limits.short_percent,
            longest_functions(repo)
        );
        findings.push(Finding::on(PLACE, message));
    }
    findings
}

fn longest_files(repo: &Repo) -> String {
    longest(repo.product().map(|(path, source)| (source.lines, path.clone())).collect())
}

fn longest_functions(repo: &Repo) -> String {
    let all = repo.product().flat_map(|(path, source)| {
        let named =
            move |one: &crate::source::Function| format!("{} at {path}:{}", one.name, one.line);
        source.functions.iter().map(move |function| (function.lines, named(function)))
    });
    longest(all.collect())
}

fn longest(mut all: Vec<(usize, String)>) -> String {
    all.sort_unstable_by(|one, other| other.cmp(one));
    let named: Vec<String> =
        all.iter().take(NAMED).map(|(lines, name)| format!("{name} ({lines})")).collect();
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::tree;

    const TIGHT: &str = r#"{ "file_median": 2, "file_p95": 3, "file_max": 4,
        "function_p95": 2, "short_percent": 97.0 }"#;

    fn found(text: &str) -> Vec<String> {
        let (_folder, repo) = tree::of(&[(PLACE, TIGHT), ("a/src/lib.rs", text)]);
        check(&repo).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_short_file_of_short_functions_passes() {
        assert_eq!(found("fn f() {}\n"), [] as [&str; 0]);
    }

    #[test]
    fn a_long_file_breaks_every_limit_of_files() {
        let found = found(&"// line\n".repeat(5));
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("a/src/lib.rs: has 5 lines, 4 are allowed"), "{found:?}");
    }

    #[test]
    fn a_long_function_is_named() {
        let body = "fn long() {".to_owned() + &"\n".repeat(70) + "}";
        let found = found(&body);
        assert!(found.iter().any(|text| text.contains("long at a/src/lib.rs:1 (71)")), "{found:?}");
        assert!(found.iter().any(|text| text.contains("0.0 % of functions")), "{found:?}");
    }

    #[test]
    fn the_ratchet_turns_one_way() {
        let (_folder, repo) = tree::of(&[(PLACE, TIGHT), ("a/src/lib.rs", "fn f() {}\n")]);
        let limits = Ratchet::read(&repo).unwrap();
        let tight = limits.tightened(&repo);
        assert_eq!((tight.file_median, tight.file_max), (2, 4));
        assert!(tight.short_percent >= 100.0);
    }
}
