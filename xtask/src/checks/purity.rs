//! `rollout` decides from its arguments alone.
//!
//! Whoever replays the log, or simulates a rollout in virtual time, must come to the same
//! decision. So: no clock, no randomness, no files, no network, no threads, nothing async, no
//! order that differs from run to run.

use crate::finding::Finding;
use crate::manifest::{self, Package};
use crate::repo::Repo;
use crate::source::Source;

/// The folder of the pure crate.
pub(crate) const CORE: &str = "crates/rollout";

/// What the pure crate may be built with: words, numbers and text, nothing that runs or waits.
const DEPENDENCIES: &[&str] =
    &["granit-parser", "ipnet", "schemars", "serde", "serde_json", "shlex", "strsim", "thiserror"];

/// Names the pure crate may not use, and what to do instead.
const NAMES: &[(&str, &str)] = &[
    ("std::fs", "take the text as an argument"),
    ("TcpStream", "take what was received as an argument"),
    ("TcpListener", "take what was received as an argument"),
    ("UdpSocket", "take what was received as an argument"),
    ("ToSocketAddrs", "take the address as an argument: a name is looked up elsewhere"),
    ("std::thread", "return what is to be done; the server does it"),
    ("std::process", "return what is to be done; the server does it"),
    ("std::env", "take the value as an argument"),
    ("std::io", "take text, return text"),
    ("SystemTime", "take the time as a `units::Timestamp`"),
    ("Instant", "take the time as a `units::Timestamp`"),
    ("Timestamp::now", "take the time as an argument"),
    ("Zoned::now", "take the time as an argument"),
    ("rand", "take the random number as an argument"),
    ("getrandom", "take the random number as an argument"),
    ("RandomState", "use a BTreeMap: its order is the same in every run"),
    ("HashMap", "use a BTreeMap: its order is the same in every run"),
    ("HashSet", "use a BTreeSet: its order is the same in every run"),
];

/// The manifest and every file of the pure crate.
pub(crate) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = match manifest::packages(&repo.root) {
        Ok(packages) => impure_manifest(&packages),
        Err(cause) => vec![Finding::on("Cargo.toml", cause)],
    };
    for (path, source) in repo.product().filter(|(path, _)| path.starts_with(CORE)) {
        findings.extend(impure_source(path, source));
    }
    findings
}

fn impure_manifest(packages: &[Package]) -> Vec<Finding> {
    let core = packages.iter().filter(|package| CORE.ends_with(&package.name));
    let listed = core.flat_map(|package| &package.dependencies).filter(|one| one.ships());
    listed
        .filter(|dependency| !DEPENDENCIES.contains(&dependency.name.as_str()))
        .map(|dependency| {
            let message = format!(
                "`{}` is not among the crates the pure crate may be built with: {}; add it in \
                 xtask/src/checks/purity.rs when it neither runs, waits, reads nor draws lots",
                dependency.name,
                DEPENDENCIES.join(", ")
            );
            Finding::on(&format!("{CORE}/Cargo.toml"), message)
        })
        .collect()
}

fn impure_source(path: &str, source: &Source) -> Vec<Finding> {
    let mut findings: Vec<Finding> = NAMES
        .iter()
        .flat_map(|(name, instead)| {
            source.uses(name).map(move |mention| {
                let message = format!(
                    "uses `{name}`: rollout decides from its arguments alone, so that a replay \
                     decides the same; {instead}"
                );
                Finding::at(path, mention.line, message)
            })
        })
        .collect();
    findings.extend(source.asyncs.iter().map(|&line| {
        Finding::at(
            path,
            line,
            "is async: rollout never waits; the server does, and tells it the outcome",
        )
    }));
    findings.sort();
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Dependency;

    fn lines(text: &str) -> Vec<usize> {
        let source = Source::parse(text).unwrap();
        impure_source("x.rs", &source).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn clocks_files_hash_maps_and_async_are_found() {
        assert_eq!(lines("use std::{fs, collections::HashMap};"), [1, 1]);
        assert_eq!(lines("fn f() {\n std::time::SystemTime::now();\n}"), [2]);
        assert_eq!(lines("fn f() {}\nasync fn g() {}"), [2]);
        assert_eq!(lines("use std::net::{IpAddr, TcpStream};"), [1]);
        assert_eq!(lines("fn f() { println!(\"{:?}\", std::env::var(\"X\")); }"), [1]);
    }

    #[test]
    fn comments_strings_and_tests_may_say_what_they_like() {
        assert_eq!(
            lines("//! HashMap\n#[cfg(test)]\nmod tests { use std::fs; }"),
            [] as [usize; 0]
        );
        assert_eq!(lines("const A: &str = \"std::fs\";"), [] as [usize; 0]);
    }

    #[test]
    fn a_runtime_in_the_manifest_is_found_and_a_test_tool_is_not() {
        let listed = |name: &str, kind: Option<&str>| Dependency {
            name: name.into(),
            kind: kind.map(Into::into),
            path: None,
        };
        let dependencies =
            vec![listed("serde", None), listed("tokio", None), listed("proptest", Some("dev"))];
        let found = impure_manifest(&[Package { name: "rollout".into(), dependencies }]);
        assert_eq!(found.len(), 1);
        assert!(found[0].message.starts_with("`tokio`"), "{found:?}");
    }
}
