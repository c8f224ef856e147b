//! The guard's fast test, and the budget it is given.

use std::collections::BTreeMap;

use rollout::evidence::{Tally, Trip, TripSpec, gate_specs, trip_rules};
use rollout::plan::{Budget, Deploy, Gate, Metric, Plan, Stage, Test, Then};
use rollout::route::{Bad, DoorRoute, HealthCheck, Protocol, Route, Segments, Sticky, Timeouts};
use rollout::units::{Millis, Weight};

const LATENCY: Metric = Metric::Latency { quantile: 0.99, limit_us: 200_000 };

fn gate(metric: Metric, test: Test, then: Then) -> Gate {
    Gate { metric, reads: "below 1%".into(), test, then }
}

/// Three stages with two guardrails each, at a budget of 1 %.
pub(crate) fn plan() -> Plan {
    let seconds = Millis::from_secs;
    let below = Test::Below { limit: 0.01 };
    let stage = |name: &str, percent: u32| Stage {
        name: name.into(),
        weight: Weight::percent(percent),
        mirror: Weight::ZERO,
        soak: seconds(7_200),
        gates: vec![
            gate(Metric::ErrorRate, below, Then::RollBack),
            gate(LATENCY, below, Then::RollBack),
        ],
    };
    Plan {
        service: "catalog".into(),
        listen: "127.0.0.1:8080".into(),
        door: DoorRoute::default(),
        route: Route::default(),
        testers: None,
        segments: Segments::default(),
        deploy: Deploy {
            command: vec!["catalog".into()],
            env: BTreeMap::new(),
            directory: None,
            ready_within: seconds(30),
            protocol: Protocol::Http1,
            replicas: 1,
        },
        sticky: Sticky::Address,
        health: HealthCheck {
            path: "/health".into(),
            every: seconds(1),
            timeout: seconds(1),
            healthy_after: 1,
            unhealthy_after: 3,
        },
        timeouts: Timeouts {
            total: None,
            head: seconds(10),
            connect: seconds(1),
            first_byte: seconds(30),
            idle: seconds(60),
        },
        shield: None,
        balance: rollout::route::Balance::default(),
        drain: seconds(30),
        stages: vec![stage("canary", 1), stage("ramp", 10), stage("everyone", 100)],
        bake: seconds(3_600),
        hold_limit: seconds(3_600),
        forgive: seconds(10),
        min_requests: 100,
        budget: Budget { false_rollback_rate: 0.01, false_pass_rate: 0.05 },
        notify: vec![],
    }
}

fn spec() -> TripSpec {
    trip_rules(&plan(), 0)[0].spec
}

/// Feeds looks until the trip fires; how many failures of the canary that took.
fn failures_until_fired(looks: impl Iterator<Item = (Tally, Tally)>) -> Option<u64> {
    let (spec, mut trip) = (spec(), Trip::new(&spec()));
    for (canary, stable) in looks {
        trip.observe(&spec, canary, stable);
        if trip.fired(&spec) {
            return Some(trip.numbers().canary.bad);
        }
    }
    None
}

const NOBODY: Tally = Tally { bad: 0, total: 0 };
const ONE_BAD: Tally = Tally { bad: 1, total: 1 };

fn good(total: u64) -> Tally {
    Tally { bad: 0, total }
}

#[test]
fn a_canary_that_fails_everything_at_one_percent_is_shut_out_within_ten_failures() {
    let looks = std::iter::repeat_n((ONE_BAD, good(99)), 100);
    assert_eq!(failures_until_fired(looks), Some(8));
}

#[test]
fn the_same_holds_when_each_look_sees_a_single_request() {
    let looks =
        (1..=5_000).map(|n| if n % 100 == 0 { (ONE_BAD, NOBODY) } else { (NOBODY, good(1)) });
    assert_eq!(failures_until_fired(looks), Some(8));
}

#[test]
fn without_stable_traffic_the_limit_alone_decides() {
    assert_eq!(failures_until_fired(std::iter::repeat_n((ONE_BAD, NOBODY), 100)), Some(8));
}

/// How many failures it takes after so many seconds of health at five requests a second.
fn failures_after_health(seconds: u32) -> u64 {
    let (spec, mut trip) = (spec(), Trip::new(&spec()));
    for second in 1..=seconds {
        for _ in 0..5 {
            trip.observe(&spec, good(1), good(99));
        }
        if second % 10 == 0 {
            trip.restart(&spec);
        }
    }
    let before = trip.numbers();
    assert_eq!((before.canary.bad, before.canary.total), (0, 5 * u64::from(seconds)));
    (1..100)
        .find(|_| {
            trip.observe(&spec, ONE_BAD, good(99));
            trip.fired(&spec)
        })
        .expect("the guard acts")
}

#[test]
fn a_canary_that_was_fine_for_long_is_shut_out_within_twenty_failures() {
    let failures = [600, 3_600, 86_400, 7 * 86_400].map(failures_after_health);
    println!("after 10 min, 1 h, 1 d, 7 d: {failures:?} failures");
    assert!(failures.iter().all(|&failures| failures <= 20), "{failures:?}");
}

/// How many failures it takes once everything fails, after a healthy time of so many looks, each
/// with one request of the canary and `stable` of stable's, one in `one_in` bad on both.
fn failures_after_a_break(looks: u64, stable: u64, one_in: u64) -> u64 {
    let (spec, mut trip) = (spec(), Trip::new(&spec()));
    for look in 1..=looks {
        let bad = u64::from(look % one_in == 0);
        trip.observe(&spec, Tally { bad, total: 1 }, Tally { bad: bad * stable, total: stable });
        // At 125 requests a second; the break comes in the middle between two restarts.
        if look % 1_250 == 625 {
            trip.restart(&spec);
        }
    }
    assert!(!trip.fired(&spec), "it was healthy");
    (1..1_000)
        .find(|_| {
            trip.observe(&spec, ONE_BAD, good(stable));
            trip.fired(&spec)
        })
        .expect("the guard acts")
}

#[test]
fn a_break_between_two_restarts_takes_few_failures_more_than_one_from_the_start() {
    let one_percent = [1_250, 12_500, 450_000].map(|looks| failures_after_a_break(looks, 99, 500));
    let half = [1_250, 12_500, 450_000].map(|looks| failures_after_a_break(looks, 1, 500));
    println!("after 10 s, 100 s, 1 h at 125/s: {one_percent:?} failures at 1 %, {half:?} at 50 %");
    assert!(one_percent.iter().all(|&failures| failures <= 30), "{one_percent:?}");
    assert!(half.iter().all(|&failures| failures <= 60), "{half:?}");
}

#[test]
fn an_outage_that_hits_both_tracks_is_not_the_canarys_fault() {
    let looks = (0..20_000).map(|n| (ONE_BAD, Tally { bad: 90 + n % 10, total: 99 }));
    assert_eq!(failures_until_fired(looks), None);
}

#[test]
fn a_burst_below_the_catastrophe_limit_is_left_to_the_blocks() {
    let looks = (0..20_000).map(|n| (Tally { bad: u64::from(n % 5 == 0), total: 1 }, good(99)));
    assert_eq!(failures_until_fired(looks), None);
}

#[test]
fn a_drained_stable_does_not_keep_the_guard_from_acting() {
    let (spec, mut trip) = (spec(), Trip::new(&spec()));
    trip.observe(&spec, good(40), good(3));
    trip.restart(&spec);
    trip.restart(&spec);
    assert_eq!(trip.numbers().relative, None);
    for _ in 0..40 {
        trip.observe(&spec, ONE_BAD, NOBODY);
    }
    assert!(trip.fired(&spec));
}

#[test]
fn a_failure_seen_before_its_request_counts_as_a_request() {
    let (spec, mut trip) = (spec(), Trip::new(&spec()));
    trip.observe(&spec, Tally { bad: 2, total: 1 }, NOBODY);
    assert_eq!(trip.numbers().canary, Tally { bad: 2, total: 2 });
}

#[test]
fn wealth_stays_finite_over_weeks_of_health_and_of_failure() {
    let (spec, mut trip) = (spec(), Trip::new(&spec()));
    for _ in 0..20_000 {
        trip.observe(&spec, good(1_000_000), Tally { bad: 10, total: 100_000_000 });
        trip.restart(&spec);
    }
    assert!(trip.numbers().absolute.is_finite() && trip.numbers().relative.unwrap().is_finite());
    for _ in 0..20_000 {
        trip.observe(&spec, Tally { bad: 1_000_000, total: 1_000_000 }, good(100_000_000));
    }
    assert!(trip.numbers().absolute.is_finite() && trip.numbers().relative.unwrap().is_finite());
    assert!(trip.fired(&spec));
}

#[test]
fn the_budget_is_divided_over_all_guardrails_and_stages() {
    let plan = plan();
    let specs = gate_specs(&plan, 1);
    assert_eq!(specs.len(), 2);
    let spent: f64 = (0..3)
        .map(|stage| {
            let verdicts: f64 =
                gate_specs(&plan, stage).iter().map(|spec| (-spec.ln_fail).exp()).sum();
            let trips: f64 =
                trip_rules(&plan, stage).iter().map(|rule| (-rule.spec.ln_threshold).exp()).sum();
            verdicts + trips
        })
        .sum();
    assert!((spent - 0.01).abs() < 1e-12, "{spent}");
    assert!((specs[0].ln_pass - 20.0_f64.ln()).abs() < 1e-12);
    assert_eq!((specs[0].restart_every_blocks, specs[0].restarts), (10, 96));
    assert_eq!(gate_specs(&plan, 3), []);
}

#[test]
fn cash_is_spread_over_the_soak_in_steps_no_shorter_than_a_block() {
    let mut plan = plan();
    plan.stages[0].soak = Millis::from_secs(30 * 86_400);
    let steps = |plan: &Plan, stage: usize| {
        let spec = gate_specs(plan, stage).remove(0);
        (spec.restart_every_blocks, spec.restarts)
    };
    assert_eq!((steps(&plan, 0), steps(&plan, 1)), ((10, 8_640), (10, 96)));
    plan.forgive = Millis::from_secs(600);
    assert_eq!(steps(&plan, 0), (1, 1_440));
}

#[test]
fn signals_and_thresholds_take_nothing_from_the_budget() {
    let mut changed = plan();
    let sustained = Test::Sustained { limit: 0.1, lasting: Millis::from_secs(300) };
    changed.stages[0].gates.push(gate(Metric::ErrorRate, sustained, Then::RollBack));
    changed.stages[1].gates.push(gate(LATENCY, Test::NoWorseThanStable, Then::Hold));
    assert_eq!(gate_specs(&changed, 0)[..2], gate_specs(&plan(), 0)[..]);
}

#[test]
fn trips_watch_guardrails_that_have_a_catastrophe() {
    let mut plan = plan();
    let compare = Test::NoWorseThanStable;
    let sustained = Test::Sustained { limit: 0.1, lasting: Millis::from_secs(300) };
    plan.stages[0].gates = vec![
        gate(LATENCY, Test::Below { limit: 0.05 }, Then::RollBack),
        gate(Metric::ErrorRate, Test::Below { limit: 0.01 }, Then::Hold),
        gate(Metric::ErrorRate, compare, Then::RollBack),
        gate(Metric::SuccessRate, Test::BelowStablePlus { margin: 0.01 }, Then::RollBack),
        gate(LATENCY, compare, Then::RollBack),
        gate(Metric::ErrorRate, sustained, Then::RollBack),
        gate(LATENCY, Test::Below { limit: 0.5 }, Then::RollBack),
    ];
    plan.stages[0].soak = Millis::from_secs(86_400);
    let rules = trip_rules(&plan, 0);
    let shown: Vec<_> = rules
        .iter()
        .map(|rule| (rule.gate.as_str(), rule.bad, rule.spec.limit, rule.spec.restarts))
        .collect();
    assert_eq!(
        shown,
        [
            ("p99 below 1%", Bad::SlowerThan(0), 0.5, 8_640),
            ("error_rate below 1%", Bad::Failed, 0.25, 8_640),
            ("success_rate below 1%", Bad::Failed, 0.25, 8_640),
        ]
    );
}
