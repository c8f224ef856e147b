//! Words that say "not finished", and paths of one machine.

use crate::finding::Finding;
use crate::repo::Repo;

/// Marks of unfinished work; put together here, so that this file does not find itself.
const MARKS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
/// Macros that stand for code that is not there, or for a look at a value.
const MACROS: &[&str] = &["todo", "unimplemented", "dbg"];
/// Tests of the browser that are passed over.
const SKIPS: &[&str] = &["test.skip(", "test.only(", "skip: true"];
/// Folders that exist on one person's machine.
const HOMES: &[&str] = &[concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Use", "rs/")];

const SKIPPED: &str = "skips a test: mend it or remove it; a test that never runs proves nothing";

/// Every text file, licences and lock files left out.
pub(crate) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in repo.texts.iter().filter(|(path, _)| is_written(path)) {
        for (at, line) in text.lines().enumerate() {
            findings.extend(in_line(repo, path, at + 1, line));
        }
    }
    for (path, source) in &repo.sources {
        let ignored = |line: &usize| Finding::at(path, *line, SKIPPED);
        findings.extend(source.ignored.iter().map(ignored));
    }
    findings.sort();
    findings
}

fn in_line(repo: &Repo, path: &str, at: usize, line: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for mark in MARKS.iter().filter(|mark| has_word(line, mark)) {
        let message =
            format!("says `{mark}`: finish it, or write down what is missing as an issue");
        findings.push(Finding::at(path, at, message));
    }
    for name in MACROS.iter().filter(|name| line.contains(&format!("{name}!("))) {
        let message = format!("calls `{name}`: no code is landed that cannot run to its end");
        findings.push(Finding::at(path, at, message));
    }
    if path.ends_with(".test.mjs") && SKIPS.iter().any(|skip| line.contains(skip)) {
        findings.push(Finding::at(path, at, SKIPPED));
    }
    let root = format!("{}/", repo.root.display());
    if HOMES.iter().any(|home| line.contains(home)) || line.contains(&root) {
        findings.push(Finding::at(
            path,
            at,
            "names a path of one machine: it means nothing on another",
        ));
    }
    findings
}

fn is_written(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    !matches!(name, "Cargo.lock" | "LICENSE" | "package-lock.json")
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric()).any(|part| part == word)
}

#[cfg(test)]
mod unit {
    use super::*;
    use crate::repo::tree;

    #[test]
    fn unfinished_work_and_machine_paths_are_found() {
        let (folder, mut repo) = tree::of(&[("a.rs", "#[test]\n#[ignore]\nfn f() {}")]);
        let here = format!("cd {}/x", folder.path().display());
        for (path, text) in [
            ("b.sh", format!("# {}: later", MARKS[0])),
            ("c.rs", format!("{}!()", MACROS[1])),
            ("d.md", format!("cd {}someone", HOMES[1])),
            ("e.md", here),
            ("f.md", format!("mktemp {}X", MARKS[2])),
            ("g.test.mjs", SKIPS[0].to_owned()),
            ("Cargo.lock", MARKS[1].to_owned()),
        ] {
            repo.texts.insert(path.into(), text);
        }
        let places: Vec<String> = check(&repo).into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["a.rs", "b.sh", "c.rs", "d.md", "e.md", "g.test.mjs"]);
    }
}
