//! A rollout with its clock, for tests that tell its life.

use std::collections::BTreeMap;

use rollout::evidence::{Block, Reading, TrackCounts};
use rollout::machine::{
    Actor, Command, Created, Event, Input, Outcome, Refusal, Release, Rollout, RolloutId, decide,
    desired,
};
use rollout::plan::{Budget, Deploy, Gate, Metric, Plan, Stage, Test, Then, Webhook};
use rollout::route::{DoorRoute, HealthCheck, Protocol, Route, Segments, Sticky, Timeouts};
use rollout::units::{Millis, Timestamp, Weight};

pub(crate) const MINUTE: Millis = Millis::from_secs(60);

pub(crate) fn deploy() -> Deploy {
    Deploy {
        command: vec!["shop".to_owned()],
        env: BTreeMap::new(),
        directory: None,
        ready_within: MINUTE,
        protocol: Protocol::Http1,
        replicas: 1,
    }
}

/// Errors below 1 %, or else.
pub(crate) fn gate(then: Then) -> Gate {
    let test = Test::Below { limit: 0.01 };
    Gate { metric: Metric::ErrorRate, reads: "below 1%".to_owned(), test, then }
}

/// 1 %, 10 %, everyone, then a bake; 10 minutes each.
pub(crate) fn plan() -> Plan {
    let stage = |name: &str, percent: u32| Stage {
        name: name.to_owned(),
        weight: Weight::percent(percent),
        mirror: Weight::ZERO,
        soak: MINUTE.times(10),
        gates: vec![gate(Then::RollBack)],
    };
    let second = Millis::from_secs(1);
    Plan {
        service: "shop".to_owned(),
        listen: "127.0.0.1:8080".to_owned(),
        door: DoorRoute::default(),
        route: Route::default(),
        testers: None,
        segments: Segments::default(),
        deploy: deploy(),
        sticky: Sticky::Address,
        health: HealthCheck {
            path: "/".to_owned(),
            every: second,
            timeout: second,
            healthy_after: 1,
            unhealthy_after: 2,
        },
        timeouts: Timeouts {
            total: None,
            head: MINUTE,
            connect: second,
            first_byte: MINUTE,
            idle: MINUTE,
        },
        shield: None,
        balance: rollout::route::Balance::default(),
        drain: second,
        stages: vec![stage("one", 1), stage("ten", 10), stage("all", 100)],
        bake: MINUTE.times(5),
        hold_limit: MINUTE.times(30),
        forgive: Millis::from_secs(10),
        min_requests: 100,
        budget: Budget { false_rollback_rate: 0.01, false_pass_rate: 0.05 },
        notify: vec![Webhook { url: "http://127.0.0.1/hook".to_owned(), secret: None }],
    }
}

pub(crate) fn release(id: &str, version: &str) -> Release {
    Release {
        id: id.to_owned(),
        version: version.to_owned(),
        digest: format!("sha-{version}"),
        deploy: deploy(),
        directory: "/srv".to_owned(),
    }
}

pub(crate) fn ada() -> Actor {
    Actor { who: "ada".to_owned(), via: "cli".to_owned() }
}

pub(crate) fn words(text: &str) -> String {
    text.to_owned()
}

/// A rollout with its clock and everything it has said.
pub(crate) struct Life {
    pub(crate) rollout: Rollout,
    pub(crate) now: Timestamp,
    pub(crate) log: Vec<(Timestamp, Event)>,
}

impl Life {
    pub(crate) fn asked_for(plan: Plan, number: u64) -> Self {
        let id = format!("shop-{number}");
        let created = Created {
            id: RolloutId(id.clone()),
            release: release(&id, &format!("v{number}")),
            plan,
            plan_hash: "0".repeat(64),
            by: ada(),
            again: false,
        };
        let now = Timestamp(1_000_000);
        let rollout = Rollout::created(now, &created);
        Self { rollout, now, log: vec![(now, Event::Created(Box::new(created)))] }
    }

    /// In its first stage, beside version v1.
    pub(crate) fn in_stage_one(plan: Plan) -> Self {
        let mut life = Self::asked_for(plan, 2);
        life.takes(Input::Turn(Some(release("shop-1", "v1"))));
        life.takes(Input::Outcome(Outcome::Deployed));
        assert_eq!(life.at(), "one 1% running");
        life
    }

    pub(crate) fn tries(&mut self, input: Input) -> Result<Vec<&'static str>, Refusal> {
        let events = decide(&self.rollout, input, self.now)?;
        for event in &events {
            self.rollout.apply(self.now, event);
            self.log.push((self.now, event.clone()));
        }
        Ok(events.iter().map(Event::kind).collect())
    }

    pub(crate) fn takes(&mut self, input: Input) -> Vec<&'static str> {
        self.tries(input).expect("it is allowed")
    }

    pub(crate) fn asks(&mut self, command: Command) -> Result<Vec<&'static str>, Refusal> {
        self.tries(Input::Command(command, ada()))
    }

    pub(crate) fn refuses(&mut self, command: Command) -> String {
        self.asks(command).expect_err("it is refused").message
    }

    /// One window of 30 s with 15,000 requests, of which the canary fails `bad` in a hundred.
    pub(crate) fn window(&mut self, bad: u64) -> Vec<&'static str> {
        let canary = 150 * u64::from(self.rollout.weight().steps()) / 1_000;
        let counts = |requests: u64, failures: u64| {
            Reading::Counts(TrackCounts { requests, failures, ..TrackCounts::default() })
        };
        self.block(counts(canary, canary * bad / 100), counts(15_000 - canary, 0))
    }

    pub(crate) fn block(&mut self, canary: Reading, stable: Reading) -> Vec<&'static str> {
        let from = self.now;
        self.now = from.plus(self.rollout.plan.block());
        self.takes(Input::Evidence(Block { from, to: self.now, canary, stable }))
    }

    /// Windows until one says more than its counts.
    pub(crate) fn windows_until_something_happens(&mut self, bad: u64) -> Vec<&'static str> {
        let mut windows = (0..1_000).map(|_| self.window(bad));
        windows.find(|said| said.len() > 1).expect("something happens within 1,000 windows")
    }

    /// The stage, its weight and the state.
    pub(crate) fn at(&self) -> String {
        let stage = self.rollout.stage().map_or("-", |stage| &stage.name);
        format!("{stage} {} {}", desired(&self.rollout).weight, self.rollout.state_name())
    }
}

pub(crate) fn pause() -> Command {
    Command::Pause { why: words("looks odd") }
}

pub(crate) fn promote() -> Command {
    Command::Promote { stage: None, why: words("hurry") }
}

pub(crate) fn roll_back() -> Command {
    Command::RollBack { why: words("enough") }
}
