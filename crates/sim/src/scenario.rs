//! Plans, people and circumstances, drawn from a seed.

use std::collections::BTreeMap;

use rollout::machine::{Actor, Command, Created, Release, RolloutId};
use rollout::plan::{Budget, Deploy, Gate, Metric, Plan, Stage, Test, Then, Webhook};
use rollout::route::{DoorRoute, HealthCheck, Protocol, Route, Segments, Sticky, Timeouts};
use rollout::units::{Millis, Weight};

use crate::proxy::Truth;
use crate::seed::Rng;

/// The service every history is about.
pub const SERVICE: &str = "shop";
/// The latency every plan's latency gates are about, in microseconds.
const LIMIT_US: u64 = 200_000;

/// The circumstances of a history.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// How every rollout of it is rolled out.
    pub plan: Plan,
    /// Requests per second; none at all in some histories.
    pub rps: f64,
    /// How many steps things may go wrong.
    pub steps: u64,
    /// How often people do something, a probability a step.
    pub busy: f64,
    /// How much goes wrong, times the usual.
    pub intensity: f64,
}

impl Scenario {
    /// Circumstances from `rng`.
    pub fn draw(rng: &mut Rng) -> Self {
        Self {
            plan: draw_plan(rng),
            rps: rng.pick(&[0.0, 5.0, 50.0, 200.0, 500.0]),
            steps: rng.between(60, 300),
            busy: rng.pick(&[0.01, 0.03, 0.1]),
            intensity: rng.pick(&[0.0, 0.5, 1.0, 1.0, 2.0]),
        }
    }
}

/// A plan of these stages and nothing unusual around them.
pub fn plan(stages: Vec<Stage>) -> Plan {
    Plan {
        service: SERVICE.to_owned(),
        listen: "127.0.0.1:8080".to_owned(),
        door: DoorRoute::default(),
        route: Route::default(),
        testers: None,
        segments: Segments::default(),
        deploy: deploy(),
        sticky: Sticky::Address,
        health: HealthCheck {
            path: "/".to_owned(),
            every: Millis::from_secs(1),
            timeout: Millis::from_secs(1),
            healthy_after: 1,
            unhealthy_after: 2,
        },
        timeouts: Timeouts {
            total: None,
            head: Millis::from_secs(10),
            connect: Millis::from_secs(2),
            first_byte: Millis::from_secs(30),
            idle: Millis::from_secs(60),
        },
        shield: None,
        balance: rollout::route::Balance::default(),
        drain: Millis::from_secs(10),
        stages,
        bake: Millis::ZERO,
        hold_limit: Millis::from_secs(1_800),
        forgive: Millis::from_secs(10),
        min_requests: 100,
        budget: Budget { false_rollback_rate: 0.01, false_pass_rate: 0.05 },
        notify: Vec::new(),
    }
}

/// A stage with gates.
pub fn stage(name: &str, weight: Weight, soak: Millis, gates: Vec<Gate>) -> Stage {
    Stage { name: name.to_owned(), weight, mirror: Weight::ZERO, soak, gates }
}

/// Fewer failed requests than `limit` (0..1), or else.
pub fn error_rate_below(limit: f64, then: Then) -> Gate {
    let reads = format!("below {}%", limit * 100.0);
    Gate { metric: Metric::ErrorRate, reads, test: Test::Below { limit }, then }
}

fn deploy() -> Deploy {
    Deploy {
        command: vec!["serve".to_owned()],
        env: BTreeMap::new(),
        directory: None,
        ready_within: Millis::from_secs(60),
        protocol: Protocol::Http1,
        replicas: 1,
    }
}

fn draw_plan(rng: &mut Rng) -> Plan {
    let count = rng.between(1, 4);
    let mut stages = Vec::new();
    for index in 1..=count {
        let steps = u32::try_from(100_000 * index.pow(2) / count.pow(2)).unwrap_or(100_000);
        let weight = Weight::from_steps(steps).unwrap_or(Weight::FULL);
        let gates = (0..rng.between(0, 2)).map(|_| draw_gate(rng)).collect();
        let soak = Millis::from_secs(rng.between(0, 400));
        stages.push(stage(&format!("stage-{index}"), weight, soak, gates));
    }
    let receiver = Webhook { url: "http://127.0.0.1/hook".to_owned(), secret: None };
    Plan {
        bake: Millis::from_secs(rng.pick(&[0, 60, 300])),
        hold_limit: Millis::from_secs(rng.pick(&[60, 300, 900])),
        forgive: Millis::from_secs(rng.pick(&[2, 5, 10])),
        min_requests: rng.pick(&[0, 20, 500]),
        notify: (0..rng.between(0, 2)).map(|_| receiver.clone()).collect(),
        ..plan(stages)
    }
}

fn draw_gate(rng: &mut Rng) -> Gate {
    let then = rng.pick(&[Then::RollBack, Then::RollBack, Then::Hold, Then::Alert]);
    let limit = rng.pick(&[0.01, 0.05, 0.1]);
    let lasting = Millis::from_secs(rng.between(30, 120));
    let test = rng.pick(&[
        Test::Below { limit },
        Test::Below { limit },
        Test::BelowStablePlus { margin: limit },
        Test::NoWorseThanStable,
        Test::Sustained { limit, lasting },
    ]);
    let slow = Metric::Latency { quantile: 0.99, limit_us: LIMIT_US };
    let metric = rng.pick(&[Metric::ErrorRate, Metric::SuccessRate, slow]);
    Gate { metric, reads: format!("{test:?}"), test, then }
}

/// How a release really behaves: mostly well.
pub fn draw_truth(rng: &mut Rng) -> Truth {
    Truth {
        bad: rng.pick(&[0.0, 0.0, 0.001, 0.005, 0.03, 0.3, 1.0]),
        slow: rng.pick(&[0.0, 0.0, 0.005, 0.2]),
    }
}

/// Somebody.
pub fn draw_actor(rng: &mut Rng) -> Actor {
    let who = rng.pick(&["ada", "bo", "cy"]);
    Actor { who: who.to_owned(), via: rng.pick(&["cli", "api", "dashboard"]).to_owned() }
}

/// Something people ask of a rollout.
pub fn draw_command(rng: &mut Rng) -> Command {
    let why = rng.pick(&["", "looks good", "looks odd"]).to_owned();
    match rng.between(0, 11) {
        0 | 1 => Command::Pause { why },
        2..=5 => Command::Resume,
        6..=8 => Command::Promote { stage: None, why },
        9 => Command::RollBack { why },
        _ => {
            let steps = rng.pick(&[0, 500, 10_000, 50_000, 100_000, 100_000]);
            Command::Limit { weight: Weight::from_steps(steps).unwrap_or(Weight::FULL) }
        }
    }
}

/// A release of `version` as the rollout `id` carries it.
pub fn release(id: &RolloutId, version: &str) -> Release {
    Release {
        id: id.to_string(),
        version: version.to_owned(),
        digest: format!("sha-{version}"),
        deploy: deploy(),
        directory: "/srv".to_owned(),
    }
}

/// The first event of a rollout.
pub fn created(id: RolloutId, version: &str, plan: &Plan, by: Actor, again: bool) -> Created {
    Created {
        release: release(&id, version),
        plan: plan.clone(),
        plan_hash: "0".repeat(64),
        by,
        again,
        id,
    }
}
