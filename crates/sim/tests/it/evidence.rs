//! Whole rollouts over simulated traffic.

use rollout::evidence::{Reading, Tally, TrackCounts};
use rollout::machine::{End, Event, State, why};
use rollout::units::Weight;
use sim::healthy;

/// A healthy release fails 0.2 % of its requests; the gate is at 1 %.
#[test]
fn of_a_thousand_healthy_rollouts_hardly_any_is_taken_back() {
    let half = |first: u64| {
        let all = (first..1_000).step_by(2).map(|seed| healthy::rollout(seed, 500.0, 0.002, 0.002));
        all.map(|rollout| rollout.state).collect::<Vec<State>>()
    };
    let (one, two) = std::thread::scope(|scope| {
        let one = scope.spawn(|| half(0));
        (half(1), one.join().expect("the other half failed, see above"))
    });
    let ends = [one, two].concat();
    let is = |wanted: fn(&End) -> bool| {
        ends.iter().filter(|it| matches!(it, State::Ended { end, .. } if wanted(end))).count()
    };
    let promoted = is(|end| *end == End::Promoted);
    let back = ends.iter().filter(|it| matches!(it, State::RollingBack { .. })).count();
    println!("1,000 healthy rollouts: {promoted} promoted, {back} rolled back");
    assert_eq!(promoted + back, 1_000, "none may hang");
    assert!(back as u64 <= healthy::allowed(1_000, 0.01), "{back} were rolled back");
}

#[test]
fn a_release_that_fails_a_twentieth_is_taken_back() {
    for seed in 0..50 {
        let rollout = healthy::rollout(seed, 500.0, 0.05, 0.002);
        assert_eq!(rollout.state_name(), "rolling back", "seed {seed}");
        assert_eq!(rollout.records.len(), 1, "seed {seed}: not in its first stage");
    }
}

/// What a stage says after three days of this.
fn after_days(canary: &Reading, stable: &Reading) -> (Vec<Event>, String) {
    let (mut rollout, _) = healthy::begun(&healthy::plan());
    let said = healthy::observe(&mut rollout, 8_640, |_| (canary.clone(), stable.clone()));
    assert_eq!(rollout.state_name(), "running");
    assert_eq!(rollout.weight(), Weight::percent(1), "it neither advances nor rolls back");
    (said, why(&rollout))
}

/// Held once, then a person asked once, and nothing else.
fn assert_holds(said: &[Event], reason: &str) {
    match said {
        [Event::Held { why }, Event::PersonAsked { why: asked }] => {
            assert!(why.contains(reason) && asked.contains(reason), "{why} / {asked}");
        }
        other => panic!("expected a hold and a question, found {other:?}"),
    }
}

#[test]
fn without_traffic_a_rollout_holds_and_says_so() {
    let nobody = Reading::Counts(TrackCounts::default());
    let (said, why) = after_days(&nobody, &nobody);
    assert_holds(&said, "the canary has had no requests yet");
    assert!(why.contains("the canary had 0 of at least 100 requests"), "{why}");
}

#[test]
fn without_the_canarys_metrics_a_rollout_holds_and_says_so() {
    let missing = Reading::Missing("prometheus did not answer within 5s".to_owned());
    let stable = TrackCounts { requests: 15_000, failures: 30, ..TrackCounts::default() };
    let (said, why) = after_days(&missing, &Reading::Counts(stable));
    assert_holds(&said, "the canary's counts are missing: prometheus did not answer within 5s");
    assert!(why.starts_with("the stage holds: "), "{why}");
}

#[test]
fn a_rate_that_is_no_number_is_held_and_said() {
    let nonsense = Tally::from_f64(f64::NAN, 150.0).expect_err("it is not a number");
    let stable = TrackCounts { requests: 15_000, failures: 30, ..TrackCounts::default() };
    let (said, _) = after_days(&Reading::Missing(nonsense), &Reading::Counts(stable));
    assert_holds(&said, "the number of bad requests is not a number");
}
