//! Whole rollouts over simulated traffic, straight through the machine: how often a healthy
//! release is taken back, and what becomes of one nothing is known of.

use rollout::evidence::{Block, Reading, TrackCounts};
use rollout::machine::{Event, Input, Outcome, Rollout, RolloutId, decide};
use rollout::plan::{Plan, Then};
use rollout::units::{Millis, Timestamp, Weight};

use crate::scenario;
use crate::seed::{Rng, real, whole};

/// The stages of 002: 1 % for 2 h, 10 % for 4 h, everyone for 1 h, errors below 1 %.
pub fn plan() -> Plan {
    let gates = || vec![scenario::error_rate_below(0.01, Then::RollBack)];
    let hours = |count: u64| Millis::from_secs(3_600 * count);
    scenario::plan(vec![
        scenario::stage("one", Weight::percent(1), hours(2), gates()),
        scenario::stage("ten", Weight::percent(10), hours(4), gates()),
        scenario::stage("all", Weight::FULL, hours(1), gates()),
    ])
}

/// A rollout of `plan` that has just entered its first stage, and the events so far.
pub fn begun(plan: &Plan) -> (Rollout, Vec<Event>) {
    let by = rollout::machine::Actor { who: "ada".to_owned(), via: "cli".to_owned() };
    let id = RolloutId(format!("{}-2", scenario::SERVICE));
    let created = scenario::created(id, "v2", plan, by, false);
    let mut rollout = Rollout::created(Timestamp(0), &created);
    let stable = scenario::release(&RolloutId(format!("{}-1", scenario::SERVICE)), "v1");
    let mut events = feed(&mut rollout, Input::Turn(Some(stable)), Timestamp(0));
    events.extend(feed(&mut rollout, Input::Outcome(Outcome::Deployed), Timestamp(0)));
    (rollout, events)
}

/// Gives the machine one input and applies what it decides; a refusal decides nothing.
pub fn feed(rollout: &mut Rollout, input: Input, now: Timestamp) -> Vec<Event> {
    let events = decide(rollout, input, now).unwrap_or_default();
    for event in &events {
        rollout.apply(now, event);
    }
    events
}

/// Feeds window after window of `length` until the rollout is over, goes back, or `limit`
/// windows were fed; answers every event but the counts themselves.
pub fn observe(
    rollout: &mut Rollout,
    limit: u64,
    mut window: impl FnMut(Weight) -> (Reading, Reading),
) -> Vec<Event> {
    let length = rollout.plan.block();
    let mut from = Timestamp(0);
    let mut said = Vec::new();
    for _ in 0..limit {
        if rollout.running().is_none() {
            break;
        }
        let (canary, stable) = window(rollout.weight());
        let to = from.plus(length);
        let events = feed(rollout, Input::Evidence(Block { from, to, canary, stable }), to);
        said.extend(events.into_iter().filter(|it| !matches!(it, Event::BlockObserved { .. })));
        from = to;
    }
    said
}

/// One whole rollout: `rps` requests a second, of which canary and stable fail a share (0..=1)
/// each. Answers the rollout where it ends, goes back or is left holding.
pub fn rollout(seed: u64, rps: f64, canary_fails: f64, stable_fails: f64) -> Rollout {
    let mut rng = Rng::new(seed);
    let (mut rollout, _) = begun(&plan());
    let each = rps * rollout.plan.block().to_std().as_secs_f64();
    // Ten times what its stages last: more than any healthy rollout needs.
    observe(&mut rollout, 8_400, |weight| {
        let requests = rng.poisson(each);
        let canary = rng.binomial(requests, weight.fraction());
        let stable = requests - canary;
        (counts(&mut rng, canary, canary_fails), counts(&mut rng, stable, stable_fails))
    });
    rollout
}

fn counts(rng: &mut Rng, requests: u64, rate: f64) -> Reading {
    let failures = rng.binomial(requests, rate);
    Reading::Counts(TrackCounts { requests, failures, ..TrackCounts::default() })
}

/// How many of `count` rollouts may at most be taken back at `rate` (0..=1) each: the
/// expectation and five standard deviations.
pub fn allowed(count: u64, rate: f64) -> u64 {
    let expected = real(count) * rate;
    whole((expected + 5.0 * (expected * (1.0 - rate)).sqrt()).floor())
}
