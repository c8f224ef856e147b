//! One file per process asks for the time; everybody else is told.
//!
//! A clock that is read everywhere cannot be replaced in a test, and two readings a line apart
//! disagree.

use crate::finding::Finding;
use crate::repo::Repo;
use crate::source::{Mention, Source};

/// Calls that read a clock.
const READS: &[&str] =
    &["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now", "Utc::now"];

/// Where a clock may be read: a file or a folder, which calls, and why.
const ALLOWED: &[(&str, &[&str], &str)] = &[
    (
        "crates/server/src/engine/clock.rs",
        &["Instant::now", "SystemTime::now"],
        "the controller's only clock",
    ),
    ("crates/cli/src/clock.rs", &["SystemTime::now"], "ages of things, for people"),
    (
        "crates/cli/src/clock.rs",
        &["SystemTime::now"],
        "the command line's only clock: people are told how long ago something was",
    ),
    (
        "crates/cli/src/demo/load/",
        &["Instant::now"],
        "requests leave on a schedule, and latencies are measured where answers come",
    ),
    (
        "crates/traffic/src/proxy/",
        &["Instant::now"],
        "timeouts and latencies are measured where the bytes pass",
    ),
    (
        "crates/traffic/src/proxy/decide.rs",
        &["SystemTime::now"],
        "a line of the access log says when the request came",
    ),
];

/// The mentions in `source` that read a clock.
pub(crate) fn reads(source: &Source) -> impl Iterator<Item = (&'static str, &Mention)> {
    READS.iter().flat_map(|name| source.uses(name).map(move |mention| (*name, mention)))
}

/// Every clock read outside tests, held against the table.
pub(crate) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, source) in repo.product() {
        for (name, mention) in reads(source).filter(|(name, _)| !is_allowed(path, name)) {
            let message = format!(
                "reads the clock with `{name}`: time comes in as an argument or from the process's \
                 one clock file, so that tests can set it; places with a reason are listed in \
                 xtask/src/checks/clock.rs"
            );
            findings.push(Finding::at(path, mention.line, message));
        }
    }
    findings
}

fn is_allowed(path: &str, name: &str) -> bool {
    ALLOWED.iter().any(|(place, names, _)| path.starts_with(place) && names.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::tree;

    #[test]
    fn the_clock_is_read_where_the_table_allows_it_and_nowhere_else() {
        let (_folder, repo) = tree::of(&[
            ("crates/server/src/engine/clock.rs", "fn f() { std::time::SystemTime::now(); }"),
            ("crates/server/src/api.rs", "use std::time::Instant;\nfn f() { Instant::now(); }"),
            ("crates/traffic/src/proxy/wire.rs", "fn f() { Instant::now(); SystemTime::now(); }"),
            ("crates/server/tests/it/main.rs", "fn f() { Instant::now(); }"),
        ]);
        let found: Vec<(String, usize)> =
            check(&repo).into_iter().map(|finding| (finding.place, finding.line)).collect();
        let expected = [("crates/server/src/api.rs", 2), ("crates/traffic/src/proxy/wire.rs", 1)];
        assert_eq!(found, expected.map(|(place, line)| (place.to_owned(), line)));
    }
}
