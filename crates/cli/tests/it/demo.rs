//! `sluice demo`, whole: real processes, real traffic, and nothing left behind.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

/// A demo whose folder for temporary files is ours; every process of it inherits the name.
fn demo(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.arg("demo").env("TMPDIR", folder.path()).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// The processes that have `folder` as their folder for temporary files.
fn processes_of(folder: &Path) -> Vec<String> {
    let entry = format!("TMPDIR={}", folder.display());
    let is_ours = |environment: Vec<u8>| {
        environment.split(|byte| *byte == 0).any(|variable| variable == entry.as_bytes())
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        // One that ends meanwhile is none of ours.
        .filter(|process| std::fs::read(process.path().join("environ")).is_ok_and(is_ours))
        .map(|process| process.file_name().into_string().unwrap())
        .collect()
}

fn assert_nothing_is_left(folder: &TempDir) {
    assert_eq!(processes_of(folder.path()), Vec::<String>::new(), "processes are left");
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().collect();
    assert!(files.is_empty(), "files are left: {files:?}");
}

/// Asks a process of ours for something, by its id.
fn signal(name: &str, process: &Child) {
    let id = process.id().to_string();
    assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
}

/// Reads what the demo says until a line has `words` in it.
fn wait_for(words: &str, process: &mut Child) -> impl Sized + use<> {
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let found = lines.by_ref().any(|line| line.unwrap().contains(words));
    assert!(found, "the demo ended without saying {words:?}");
    lines
}

#[test]
fn a_demo_promotes_the_good_release_takes_the_bad_one_back_and_leaves_nothing() {
    let _turn = crate::LOAD.blocking_lock();
    let folder = tempfile::tempdir().unwrap();
    let Output { status, stdout, stderr } = demo(&folder).output().unwrap();
    let (figures, told) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    println!("{told}\n{figures}");
    assert_eq!(status.code(), Some(0));
    for line in
        ["v1              promoted", "v2              promoted", "v3              rolled back"]
    {
        assert!(figures.contains(line), "{line:?} is missing");
    }
    for stage in ["canary at 1%", "ramp at 10%", "rollout at 100%"] {
        assert!(told.contains(&format!("shop v2 entered stage {stage}")), "{stage} is missing");
    }
    assert!(!told.contains("shop v3 entered stage ramp"));
    assert!(figures.contains("lost on the way 0 requests, in 6 changes"));
    assert_nothing_is_left(&folder);
}

#[test]
fn a_demo_that_is_interrupted_half_way_stops_its_processes() {
    let _turn = crate::LOAD.blocking_lock();
    let folder = tempfile::tempdir().unwrap();
    let mut process = demo(&folder).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let lines = wait_for("shop v2 entered stage canary", &mut process);
    assert_eq!(processes_of(folder.path()).len(), 3, "the demo, v1 and v2");
    signal("-INT", &process);
    drop(lines);
    assert_eq!(process.wait().unwrap().code(), Some(1));
    assert_nothing_is_left(&folder);
}

#[test]
fn the_processes_of_a_demo_that_was_killed_end_by_themselves() {
    let _turn = crate::LOAD.blocking_lock();
    let folder = tempfile::tempdir().unwrap();
    let mut process = demo(&folder).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let lines = wait_for("shop v1 is stable", &mut process);
    signal("-KILL", &process);
    process.wait().unwrap();
    drop(lines);
    for _ in 0..300 {
        if processes_of(folder.path()).is_empty() {
            break;
        }
        sleep(Duration::from_millis(100));
    }
    assert_nothing_is_left(&folder);
}
