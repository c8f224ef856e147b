//! Checks over the repository, and its figures.
//!
//! `cargo xtask tidy` holds the tree to what was agreed, one file of [`checks`] per agreement.
//! `cargo xtask figures` prints the numbers, `cargo xtask ratchet` tightens the limits of
//! `xtask/ratchet.json` to what the tree has reached.

mod checks;
mod figures;
mod finding;
mod manifest;
mod modules;
mod paths;
mod ratchet;
mod reader;
mod repo;
mod sizes;
mod source;

use std::path::Path;
use std::process::ExitCode;

use repo::Repo;

const USAGE: &str = "usage: cargo xtask <tidy [check]... | figures | ratchet>";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<ExitCode, String> {
    let Some((command, rest)) = words.split_first() else {
        return Err(USAGE.into());
    };
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = home.parent().ok_or("xtask has no folder above it")?;
    let repo = Repo::load(root)?;
    match (command.as_str(), rest) {
        ("tidy", wanted) => tidy(&repo, wanted),
        ("figures", []) => figures::print(&repo).map(|()| ExitCode::SUCCESS),
        ("ratchet", []) => ratchet::tighten(&repo).map(|()| ExitCode::SUCCESS),
        _ => Err(format!("cannot read `{}`; {USAGE}", words.join(" "))),
    }
}

/// Runs the named checks, or all of them, and prints what they found.
fn tidy(repo: &Repo, wanted: &[String]) -> Result<ExitCode, String> {
    let mut total = 0;
    for (name, check) in checks::chosen(wanted)? {
        let findings = check(repo);
        println!("tidy {name}: {}", finding::count(findings.len()));
        for finding in &findings {
            println!("  {finding}");
        }
        total += findings.len();
    }
    Ok(if total == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
