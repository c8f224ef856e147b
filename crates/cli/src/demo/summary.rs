//! The figures at the end, and whether all went as it should.

use std::fmt::Write as _;
use std::time::Duration;

use server::view::RolloutState;

use super::build::Build;
use super::load::{Figures, Version};
use super::plan::RATE;
use super::story::Story;

/// The share of requests that v1 and v2 fail for reasons of their own.
const OWN_FAILURES: &str = "0.1 %";

/// What is said at the end of `story`.
pub(super) fn text(story: &Story) -> String {
    let figures = &story.figures;
    let bad = bad_version(story);
    let mut out = String::new();
    for end in &story.ends {
        line(&mut out, &end.version, &format!("{}: {}", end.state, end.why));
    }
    out.push('\n');
    line(&mut out, "users", &format!("{} sent {} requests", figures.users, figures.requests));
    line(&mut out, "met v3", &format!("{} users with {} requests", bad.users, bad.requests));
    line(&mut out, "saw an error", &errors(story, &bad));
    line(&mut out, "gate shut", &shut(bad.met_after_failing));
    let lost = format!("{}, in {} changes of who meets what", lost(figures), story.changes);
    line(&mut out, "lost on the way", &lost);
    line(&mut out, "latency", &latency(figures));
    out
}

/// What became of a load by itself.
pub(super) fn load(figures: &Figures) -> String {
    let mut out = String::new();
    line(&mut out, "users", &format!("{} sent {} requests", figures.users, figures.requests));
    for (name, met) in &figures.versions {
        let Version { requests, failed, users, failed_users, met_after_failing } = met;
        let mut text = format!("answered {requests} requests of {users} users");
        if let Some(after) = met_after_failing {
            let after = length(Some(*after));
            // Writing to a string cannot fail.
            let _ =
                write!(text, "; failed {failed} of them, of {failed_users} users, over {after}");
        }
        line(&mut out, name, &text);
    }
    line(&mut out, "lost on the way", &lost(figures));
    line(&mut out, "latency", &latency(figures));
    out
}

/// Requests that no version answered.
fn lost(figures: &Figures) -> String {
    match &figures.last_unserved {
        None => "0 requests".to_owned(),
        Some(why) => format!("{} requests (the last one: {why})", figures.unserved),
    }
}

fn latency(figures: &Figures) -> String {
    let (p50, p99) = (length(figures.p50), length(figures.p99));
    format!("p50 {p50}, p99 {p99}, as users saw it")
}

/// What is not as it should be; empty when all is well.
pub(super) fn wrong(story: &Story) -> Vec<String> {
    let expected = [
        (Build::V1, RolloutState::Promoted),
        (Build::V2, RolloutState::Promoted),
        (Build::V3, RolloutState::RolledBack),
    ];
    let mut wrong = Vec::new();
    for (build, state) in expected {
        let end = story.ends.iter().find(|end| end.version == build.to_string());
        if let Some(end) = end.filter(|end| end.state != state) {
            wrong.push(format!("{build} should be {state} and is {}: {}", end.state, end.why));
        }
    }
    wrong
}

fn bad_version(story: &Story) -> Version {
    story.figures.versions.get(&Build::V3.to_string()).cloned().unwrap_or_default()
}

fn errors(story: &Story, bad: &Version) -> String {
    let all = story.figures.failed;
    let rest = all.saturating_sub(bad.failed).saturating_sub(story.figures.unserved);
    format!(
        "{all} requests: {} from v3, to {} users; {rest} from the {OWN_FAILURES} that v1 and v2 fail",
        bad.failed, bad.failed_users
    )
}

fn shut(after: Option<Duration>) -> String {
    match after {
        Some(after) => format!(
            "{} after v3's first bad answer; at 1 % it got {} requests a second",
            length(Some(after)),
            RATE / 100
        ),
        None => "v3 gave no bad answer".to_owned(),
    }
}

/// `4.3 ms`, `1.5 s`; a dash where nothing was measured.
fn length(length: Option<Duration>) -> String {
    match length.map(|length| length.as_secs_f64()) {
        None => "-".to_owned(),
        Some(seconds) if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.1} s"),
    }
}

fn line(out: &mut String, name: &str, text: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{name:<16}{text}");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use server::view::RolloutView;

    use super::*;
    use crate::view::samples::in_state;

    fn end(build: Build, state: RolloutState) -> RolloutView {
        RolloutView {
            version: build.to_string(),
            why: format!("because {build}"),
            ..in_state("shop-1", state)
        }
    }

    fn story(states: [RolloutState; 3]) -> Story {
        let [v1, v2, v3] = states;
        let met = |requests, failed, users, after| Version {
            requests,
            failed,
            users,
            failed_users: u32::try_from(failed).unwrap(),
            met_after_failing: after,
        };
        let versions = BTreeMap::from([
            ("v1".to_owned(), met(40_000, 40, 18_000, Some(Duration::from_secs(20)))),
            ("v3".to_owned(), met(34, 22, 31, Some(Duration::from_millis(1_500)))),
        ]);
        let figures =
            Figures { requests: 40_034, users: 18_010, failed: 62, versions, ..Figures::default() };
        Story {
            ends: vec![end(Build::V1, v1), end(Build::V2, v2), end(Build::V3, v3)],
            figures,
            changes: 6,
        }
    }

    #[test]
    fn the_figures_say_who_met_the_bad_version_and_what_it_cost() {
        insta::assert_snapshot!(text(&story([
            RolloutState::Promoted,
            RolloutState::Promoted,
            RolloutState::RolledBack
        ])));
    }

    #[test]
    fn an_outcome_that_should_not_be_is_named() {
        assert!(
            wrong(&story([
                RolloutState::Promoted,
                RolloutState::Promoted,
                RolloutState::RolledBack
            ]))
            .is_empty()
        );
        assert_eq!(
            wrong(&story([
                RolloutState::Promoted,
                RolloutState::RolledBack,
                RolloutState::Promoted
            ])),
            [
                "v2 should be promoted and is rolled back: because v2",
                "v3 should be rolled back and is promoted: because v3"
            ]
        );
    }

    #[test]
    fn requests_that_were_lost_say_why() {
        let figures = Figures {
            unserved: 3,
            last_unserved: Some("connection reset".to_owned()),
            ..Figures::default()
        };
        assert!(load(&figures).contains("3 requests (the last one: connection reset)"));
    }
}
