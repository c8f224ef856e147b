//! The numbers of the house, as Markdown rows.

use crate::checks::{clock, purity};
use crate::manifest::{self, Package};
use crate::repo::Repo;
use crate::sizes::{SHORT, Sizes, percentile};

/// Prints every figure.
pub(crate) fn print(repo: &Repo) -> Result<(), String> {
    let packages = manifest::packages(&repo.root)?;
    println!("| figure | value |\n|---|---|");
    for (name, value) in rows(repo, &packages) {
        println!("| {name} | {value} |");
    }
    Ok(())
}

fn rows(repo: &Repo, packages: &[Package]) -> Vec<(String, String)> {
    let sizes = Sizes::of(repo);
    let spread = |list: &[usize]| {
        let at = |percent| percentile(list, percent);
        format!("median {}, p95 {}, max {}", at(50), at(95), at(100))
    };
    let mut rows = vec![
        (format!("lines of {} source files", sizes.files.len()), spread(&sizes.files)),
        (format!("lines of {} functions", sizes.functions.len()), spread(&sizes.functions)),
        (format!("functions within {SHORT} lines"), format!("{:.1} %", sizes.short_percent())),
    ];
    rows.extend(packages.iter().map(arrows));
    let arrows: usize = packages.iter().map(|package| ours(package).len()).sum();
    rows.push((
        "internal dependencies".into(),
        format!("{arrows} for {} packages", packages.len()),
    ));
    let of_core = || repo.product().filter(|(path, _)| path.starts_with(purity::CORE));
    let asyncs: usize = of_core().map(|(_, source)| source.asyncs.len()).sum();
    let reads: usize = of_core().map(|(_, source)| clock::reads(source).count()).sum();
    rows.push(("async functions and blocks in rollout".into(), asyncs.to_string()));
    rows.push(("clock reads in rollout".into(), reads.to_string()));
    rows.push(("crates in the lock file".into(), locked(repo).to_string()));
    rows
}

fn arrows(package: &Package) -> (String, String) {
    let ours = ours(package);
    let names = if ours.is_empty() { "-".into() } else { ours.join(", ") };
    (format!("`{}` depends on", package.name), names)
}

fn ours(package: &Package) -> Vec<&str> {
    let listed = package.dependencies.iter().filter(|one| one.path.is_some() && one.ships());
    listed.map(|dependency| dependency.name.as_str()).collect()
}

fn locked(repo: &Repo) -> usize {
    repo.texts.get("Cargo.lock").map_or(0, |text| text.matches("[[package]]").count())
}
