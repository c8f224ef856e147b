//! The life of a rollout, told in the order it is lived.

use rollout::evidence::{Answer, Block, Mirrored, Reading, TrackCounts};
use rollout::machine::{
    Cause, Command, End, Input, Outcome, Rollout, State, TripFacts, deliveries, desired, explain,
    next_wake, why,
};
use rollout::plan::Then;
use rollout::units::{Millis, Timestamp, Weight};

use super::life::{Life, MINUTE, ada, gate, pause, plan, promote, release, roll_back, words};

#[test]
fn a_first_release_serves_as_soon_as_it_is_well() {
    let mut life = Life::asked_for(plan(), 1);
    assert_eq!(life.takes(Input::Turn(None)), ["began"]);
    assert_eq!(life.at(), "- 0% deploying");
    assert_eq!(life.takes(Input::Outcome(Outcome::Deployed)), ["promoted"]);
    assert_eq!(desired(&life.rollout).stable.map(|it| &*it.version), Some("v1"));
}

#[test]
fn a_stage_of_copies_ends_on_time_with_copies_and_enough_of_them() {
    let mut plan = plan();
    let shadow = &mut plan.stages[0];
    (shadow.weight, shadow.mirror) = (Weight::ZERO, Weight::percent(20));
    shadow.gates.clear();
    shadow.soak = Millis::from_secs(90);
    let mut life = Life::asked_for(plan, 2);
    life.takes(Input::Turn(Some(release("shop-1", "v1"))));
    assert_eq!(desired(&life.rollout).mirror, Weight::ZERO);
    life.takes(Input::Outcome(Outcome::Deployed));
    let wanted = desired(&life.rollout);
    assert_eq!(
        (wanted.weight, wanted.mirror, wanted.trips.len()),
        (Weight::ZERO, Weight::percent(20), 0)
    );
    let started = life.log.last().map(|(_, event)| explain(&life.rollout, event)).unwrap();
    assert!(started.contains("entered stage one at 0% with copies of 20%"), "{started}");
    // What was not compared is no time with copies, and what differs holds nobody.
    let mut window = |sent, compared| {
        let copies = Mirrored { sent, compared, different: compared, ..Mirrored::default() };
        let mirrored = (sent > 0).then(|| Box::new(copies));
        let canary = TrackCounts { mirrored, ..TrackCounts::default() };
        let stable = TrackCounts { requests: 1_000, ..TrackCounts::default() };
        life.block(Reading::Counts(canary), Reading::Counts(stable)).len()
    };
    assert_eq!((window(0, 0), window(9, 0), window(30, 30)), (1, 1, 2), "held once it is late");
    assert_eq!((window(30, 30), window(30, 30)), (1, 1), "the soak is over, 90 is not 100");
    assert!(
        why(&life.rollout).contains("90 of at least 100 compared copies"),
        "{}",
        why(&life.rollout)
    );
    let canary = TrackCounts {
        mirrored: Some(Box::new(Mirrored { compared: 10, ..Mirrored::default() })),
        ..TrackCounts::default()
    };
    let none = Reading::Counts(TrackCounts::default());
    assert_eq!(life.block(Reading::Counts(canary), none), ["block_observed", "stage_started"]);
    let wanted = desired(&life.rollout);
    assert_eq!((wanted.weight, wanted.mirror), (Weight::percent(10), Weight::ZERO));
}

#[test]
fn a_good_release_goes_from_one_to_ten_to_everyone_and_bakes() {
    let mut life = Life::in_stage_one(plan());
    let mut path = Vec::new();
    while !life.rollout.is_over() {
        let said = life.windows_until_something_happens(0);
        path.push(format!("{} -> {}", said[1..].join(" "), life.at()));
    }
    assert_eq!(
        path,
        [
            "stage_started -> ten 10% running",
            "stage_started -> all 100% running",
            "bake_started -> all 100% baking",
            "promoted -> - 0% promoted",
        ]
    );
    let replayed = Rollout::replay(life.log.iter().map(|(at, event)| (*at, event)));
    assert_eq!(replayed, Some(life.rollout), "the log makes the same rollout");
}

#[test]
fn no_stage_ends_before_its_soak_is_over() {
    let mut life = Life::in_stage_one(plan());
    let windows = (1..1_000).find(|_| life.window(0).len() > 1);
    assert!(windows >= Some(20), "10 minutes are 20 windows, it took {windows:?}");
}

#[test]
fn a_bad_release_is_rolled_back_by_its_gate() {
    let mut life = Life::in_stage_one(plan());
    assert_eq!(life.windows_until_something_happens(20), ["block_observed", "rollback_started"]);
    assert_eq!(life.at(), "- 0% rolling back");
    assert_eq!(desired(&life.rollout).canary, None);
    assert!(why(&life.rollout).starts_with("it is going back: error_rate below 1% failed, 20% of"));
    assert_eq!(life.takes(Input::Outcome(Outcome::Withdrawn)), ["rolled_back"]);
    assert_eq!(desired(&life.rollout).stable.map(|it| &*it.version), Some("v1"));
}

#[test]
fn a_trip_rolls_back_the_release_it_is_about_and_no_other() {
    let mut life = Life::in_stage_one(plan());
    let trip = |release: &str| {
        Input::Tripped(TripFacts {
            release: release.to_owned(),
            gate: words("error_rate below 1%"),
            requests: 9,
            bad: 9,
            evidence: 9.5,
            evidence_needed: 8.0,
            shut_after_us: Some(40),
        })
    };
    assert!(life.takes(trip("shop-1")).is_empty());
    assert_eq!(life.takes(trip("shop-2")), ["rollback_started"]);
    assert!(life.takes(trip("shop-2")).is_empty(), "told twice, it goes back once");
}

#[test]
fn what_was_counted_when_the_gate_was_shut_is_on_record_and_no_evidence() {
    let mut life = Life::in_stage_one(plan());
    life.takes(Input::Command(roll_back(), ada()));
    let counts = |requests: u64, failures: u64| {
        Reading::Counts(TrackCounts { requests, failures, ..TrackCounts::default() })
    };
    let from = life.now;
    assert_eq!(life.block(counts(34, 22), counts(1_000, 0)), ["block_observed"]);
    let again = Block { from, to: life.now, canary: counts(34, 22), stable: counts(1_000, 0) };
    assert!(life.takes(Input::Evidence(again)).is_empty(), "the same window");
    let record = life.rollout.records.last().expect("a stage was entered");
    assert_eq!((record.canary.requests, record.canary.failures), (34, 22));
    assert_eq!(life.at(), "- 0% rolling back");
}

#[test]
fn a_paused_rollout_counts_and_does_not_move_until_it_is_resumed() {
    let mut life = Life::in_stage_one(plan());
    assert_eq!(life.asks(pause()), Ok(vec!["paused"]));
    assert_eq!(life.asks(pause()), Ok(vec![]), "pausing twice is pausing once");
    for _ in 0..200 {
        assert_eq!(life.window(0), ["block_observed"]);
    }
    assert_eq!(life.at(), "one 1% paused");
    assert_eq!(life.asks(Command::Resume), Ok(vec!["resumed"]));
    assert_eq!(life.window(0), ["block_observed", "stage_started"]);
}

#[test]
fn a_paused_rollout_is_still_rolled_back_by_its_guardrail() {
    let mut life = Life::in_stage_one(plan());
    life.takes(Input::Command(pause(), ada()));
    assert_eq!(life.windows_until_something_happens(20), ["block_observed", "rollback_started"]);
}

#[test]
fn a_promotion_skips_the_soak_and_never_a_failed_gate() {
    let mut life = Life::in_stage_one(plan());
    assert_eq!(life.asks(promote()), Ok(vec!["stage_started"]));
    assert_eq!(life.at(), "ten 10% running");

    let mut held = plan();
    held.stages[0].gates = vec![gate(Then::Hold)];
    let mut life = Life::in_stage_one(held);
    for _ in 0..20 {
        life.window(20);
    }
    let refusal = life.refuses(promote());
    assert!(refusal.starts_with("shop-2 is running: error_rate below 1% has failed (20% of"));
    assert!(refusal.ends_with("; a promotion skips the soak, never a failed gate"), "{refusal}");
}

#[test]
fn a_promotion_that_names_its_stage_ends_no_other() {
    let mut life = Life::in_stage_one(plan());
    let named = || Command::Promote { stage: Some(words("one")), why: words("hurry") };
    assert_eq!(life.asks(named()), Ok(vec!["stage_started"]));
    assert_eq!(
        life.refuses(named()),
        "shop-2 is running: asked to end one, but ten is under way; nothing was ended"
    );
    assert_eq!(life.at(), "ten 10% running");
}

#[test]
fn rolling_back_twice_is_rolling_back_once() {
    let mut life = Life::in_stage_one(plan());
    assert_eq!(life.asks(roll_back()), Ok(vec!["rollback_started"]));
    assert_eq!(life.asks(roll_back()), Ok(vec![]));
    life.takes(Input::Outcome(Outcome::Withdrawn));
    assert_eq!(life.asks(roll_back()), Ok(vec![]));
    let State::Ended { end: End::RolledBack(cause), .. } = &life.rollout.state else {
        panic!("it is {}", life.rollout.state_name());
    };
    assert!(matches!(&**cause, Cause::Command { why, .. } if why == "enough"));
}

/// 002-C4
#[test]
fn a_last_stage_that_alerts_tells_people_and_goes_on_serving() {
    let mut alerting = plan();
    alerting.stages.remove(0);
    alerting.stages.remove(0);
    alerting.stages[0].gates = vec![gate(Then::Alert)];
    let mut life = Life::asked_for(alerting, 2);
    life.takes(Input::Turn(Some(release("shop-1", "v1"))));
    life.takes(Input::Outcome(Outcome::Deployed));
    assert_eq!(life.windows_until_something_happens(20), ["block_observed", "alerted"]);
    assert_eq!(life.at(), "all 100% running");
    let (_, alert) = life.log.last().expect("there is a last event");
    let owed = deliveries(&life.rollout, life.rollout.seq, alert);
    assert!(owed[0].text.starts_with("error_rate below 1% is broken for shop v2: 20% of"));
}

#[test]
fn a_stage_nothing_is_known_of_holds_and_then_asks_a_person_once() {
    let mut life = Life::in_stage_one(plan());
    let mut said = Vec::new();
    for _ in 0..200 {
        let missing = || Reading::Missing(words("prometheus did not answer within 5s"));
        said.extend(life.block(missing(), missing()).split_off(1));
    }
    assert_eq!(said, ["held", "person_asked"]);
    assert_eq!(life.at(), "one 1% running");
    assert!(why(&life.rollout).starts_with("the stage holds: "), "{}", why(&life.rollout));
}

#[test]
fn windows_that_were_counted_already_are_dropped() {
    let mut life = Life::in_stage_one(plan());
    let from = life.now;
    life.window(0);
    let again = |from: Timestamp, to: Timestamp| {
        let counts = || Reading::Counts(TrackCounts { requests: 100, ..TrackCounts::default() });
        Input::Evidence(Block { from, to, canary: counts(), stable: counts() })
    };
    assert!(life.takes(again(from, life.now)).is_empty(), "the same window");
    assert!(life.takes(again(from.plus(MINUTE), from)).is_empty(), "one that runs backwards");
    let requests = life.rollout.running().map(|running| running.requests);
    assert_eq!(requests, Some(150));
}

#[test]
fn exposure_can_be_held_below_the_stages_and_keeps_it_from_ending() {
    let mut life = Life::in_stage_one(plan());
    life.takes(Input::Command(promote(), ada()));
    let limit = |percent| Command::Limit { weight: Weight::percent(percent) };
    assert_eq!(
        life.refuses(limit(11)),
        "shop-2 is running: read a canary weight of 11%; allowed: up to 10%, the weight of stage \
         \"ten\" (promote it to go on)"
    );
    assert_eq!(life.asks(limit(5)), Ok(vec!["limited"]));
    assert_eq!(life.at(), "ten 5% running");
    for _ in 0..100 {
        life.window(0);
    }
    assert!(why(&life.rollout).contains("the exposure is held at 5% instead of 10%"));
    assert_eq!(life.asks(limit(10)), Ok(vec!["limited"]));
    assert_eq!(life.window(0), ["block_observed"], "begun while it was held");
    let held = life.rollout.running().map(|running| (running.observed, running.requests));
    assert_eq!(held, Some((Millis::ZERO, 0)), "5% says nothing of 10%");
    let mut clean = (1..100).filter(|_| life.window(0) == ["block_observed", "stage_started"]);
    assert_eq!(clean.next(), Some(20), "the whole soak at the stage's own weight");
    assert_eq!(life.asks(limit(0)), Ok(vec!["rollback_started"]), "zero is going back");
}

#[test]
fn what_is_not_allowed_is_refused_with_a_sentence() {
    let mut waiting = Life::asked_for(plan(), 2);
    let mut over = Life::asked_for(plan(), 1);
    over.takes(Input::Turn(None));
    over.takes(Input::Outcome(Outcome::Deployed));
    let mut back = Life::in_stage_one(plan());
    back.takes(Input::Command(roll_back(), ada()));
    let said = [
        waiting.refuses(Command::Resume),
        waiting.refuses(promote()),
        back.refuses(pause()),
        back.refuses(Command::Resume),
        back.refuses(promote()),
        over.refuses(promote()),
    ];
    assert_eq!(
        said,
        [
            "shop-2 is waiting: only a paused rollout can be resumed",
            "shop-2 is waiting: its turn has not come, and it has no stage to end",
            "shop-2 is rolling back: going back cannot be paused",
            "shop-2 is rolling back: only a paused rollout can be resumed",
            "shop-2 is rolling back: it is going back; start a new rollout to go on",
            "shop-1 is promoted: nothing more can happen to it",
        ]
    );
}

#[test]
fn whoever_is_not_over_is_looked_at_within_thirty_seconds() {
    let mut life = Life::in_stage_one(plan());
    for skew in [-2_592_000_000, 0, 2_592_000_000] {
        let now = Timestamp(life.now.0 + skew);
        let wake = next_wake(&life.rollout, now).expect("it is not over");
        assert!(now <= wake && wake <= now.plus(Millis::from_secs(30)), "{wake:?} at {now:?}");
    }
    life.takes(Input::Command(roll_back(), ada()));
    life.takes(Input::Outcome(Outcome::Withdrawn));
    assert_eq!(next_wake(&life.rollout, life.now), None);
}

#[test]
fn a_gate_that_failed_stays_failed_on_record() {
    let mut life = Life::in_stage_one(plan());
    life.windows_until_something_happens(20);
    let record = life.rollout.records.last().expect("a stage was entered");
    assert_eq!(
        record.verdicts.iter().map(|it| it.verdict.answer).collect::<Vec<_>>(),
        [Answer::Fail]
    );
    assert_eq!(record.canary.error_rate(), Some(0.2));
}
