//! Dependencies point one way: between our crates, and between the modules of `rollout`.

use crate::checks::purity::CORE;
use crate::finding::Finding;
use crate::manifest::{self, Package};
use crate::repo::Repo;

/// Which of our crates each crate may depend on; a crate that is not listed has no place yet.
const CRATES: &[(&str, &[&str])] = &[
    ("rollout", &[]),
    ("traffic", &["rollout"]),
    ("store", &["rollout"]),
    ("server", &["rollout", "traffic", "store"]),
    ("sim", &["rollout", "store"]),
    ("cli", &["rollout", "server", "traffic", "sim"]),
    ("catalog", &[]),
    ("xtask", &[]),
];

/// What each module of `rollout` may name of its siblings: a module, or one item of it.
const MODULES: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("bucket", &["units"]),
    // A route carries the guard's numbers, which are a plain record of the evidence module.
    ("route", &["units", "evidence::TripSpec"]),
    ("plan", &["units", "bucket", "route"]),
    // Gates are judged as the plan means them.
    ("evidence", &["units", "bucket", "route", "plan"]),
    ("flags", &["units", "bucket", "route"]),
    ("machine", &["units", "bucket", "route", "plan", "evidence", "flags"]),
];

/// Both tables, held against the tree.
pub(crate) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = match manifest::packages(&repo.root) {
        Ok(packages) => between_crates(&packages),
        Err(cause) => vec![Finding::on("Cargo.toml", cause)],
    };
    findings.extend(between_modules(repo));
    findings
}

fn between_crates(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let Some((_, allowed)) = CRATES.iter().find(|(name, _)| *name == package.name) else {
            let message = "has no place in the table of crates in xtask/src/checks/layers.rs: say \
                           there what it may depend on, so that the workspace stays a star";
            findings.push(Finding::on(&package.name, message));
            continue;
        };
        // A test may look at anything; what ships may not.
        let ours =
            package.dependencies.iter().filter(|found| found.path.is_some() && found.ships());
        for dependency in ours.filter(|dependency| !allowed.contains(&dependency.name.as_str())) {
            let message = format!(
                "may not depend on `{}`: it may depend on {}; arrows point one way, so that a \
                 reader and the compiler can take one crate at a time",
                dependency.name,
                list(allowed)
            );
            findings.push(Finding::on(&package.name, message));
        }
    }
    findings
}

fn between_modules(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, source) in repo.product() {
        let Some(home) = module_path(path) else {
            continue;
        };
        let Some((_, allowed)) = MODULES.iter().find(|(name, _)| Some(name) == home.first()) else {
            let message =
                "has no layer: say in xtask/src/checks/layers.rs which modules it may name";
            findings.push(Finding::on(path, message));
            continue;
        };
        for mention in &source.mentions {
            let Some(target) = absolute(&home, &mention.parts) else {
                continue;
            };
            if !may_name(&home, allowed, &target) {
                let message = format!(
                    "`{}` may not name `crate::{target}`: it may name {}; layers point one way, \
                     so that each can be read without those above it",
                    home.first().unwrap_or(&""),
                    list(allowed)
                );
                findings.push(Finding::at(path, mention.line, message));
            }
        }
    }
    findings
}

/// `plan`, `gate` for `crates/rollout/src/plan/gate.rs`; nothing for files of other crates and
/// for the crate's root, which names everything.
fn module_path(path: &str) -> Option<Vec<&str>> {
    let inside = path.strip_prefix(CORE)?.strip_prefix("/src/")?.strip_suffix(".rs")?;
    let mut parts: Vec<&str> = inside.split('/').collect();
    if parts.last() == Some(&"mod") {
        parts.pop();
    }
    (parts != ["lib"]).then_some(parts)
}

/// What a path says seen from the crate's root, for paths that begin with `crate`, `self` or `super`.
fn absolute(home: &[&str], parts: &[String]) -> Option<String> {
    let supers = parts.iter().take_while(|part| *part == "super").count();
    let first = parts.first()?.as_str();
    let (above, rest) = match first {
        "crate" => (&[][..], parts.get(1..)?),
        "super" => (home.get(..home.len().checked_sub(supers)?)?, parts.get(supers..)?),
        _ => return None,
    };
    let whole: Vec<&str> = above.iter().copied().chain(rest.iter().map(String::as_str)).collect();
    (!whole.is_empty()).then(|| whole.join("::"))
}

fn may_name(home: &[&str], allowed: &[&str], target: &str) -> bool {
    let within = |name: &str| {
        target.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    home.first().is_some_and(|own| within(own)) || allowed.iter().any(|name| within(name))
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none of ours".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::tree;

    fn messages(files: &[(&str, &str)]) -> Vec<String> {
        let (_folder, repo) = tree::of(files);
        between_modules(&repo).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_crate_that_points_the_wrong_way_is_found() {
        let manifest = |name: &str, rest: &str| {
            format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{rest}")
        };
        let (folder, _repo) = tree::of(&[
            (
                "Cargo.toml",
                "[workspace]\nresolver = \"3\"\nmembers = [\"rollout\", \"store\", \"odd\"]",
            ),
            (
                "rollout/Cargo.toml",
                &manifest("rollout", "[dependencies]\nstore = { path = \"../store\" }"),
            ),
            ("rollout/src/lib.rs", ""),
            ("store/Cargo.toml", &manifest("store", "")),
            ("store/src/lib.rs", ""),
            ("odd/Cargo.toml", &manifest("odd", "")),
            ("odd/src/lib.rs", ""),
        ]);
        let packages = manifest::packages(folder.path()).unwrap();
        let mut places: Vec<String> =
            between_crates(&packages).into_iter().map(|finding| finding.place).collect();
        places.sort();
        assert_eq!(places, ["odd", "rollout"]);
    }

    #[test]
    fn a_module_that_names_one_above_it_is_found() {
        let found = messages(&[
            ("crates/rollout/src/units.rs", "use crate::plan::Plan;"),
            ("crates/rollout/src/evidence/judge.rs", "fn f() { super::super::machine::decide(); }"),
        ]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("crates/rollout/src/evidence/judge.rs:1: `evidence` may not"));
        assert!(found[1].contains("`crate::plan::Plan`: it may name none of ours"));
    }

    #[test]
    fn one_item_may_be_named_without_its_module() {
        let found = messages(&[
            ("crates/rollout/src/route.rs", "use crate::evidence::TripSpec;"),
            ("crates/rollout/src/bucket.rs", "use crate::evidence::TripSpec;"),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("crates/rollout/src/bucket.rs:1"));
    }

    #[test]
    fn a_new_module_must_be_given_its_layer() {
        let found = messages(&[("crates/rollout/src/extra.rs", "")]);
        assert!(found[0].contains("has no layer"), "{found:?}");
    }
}
