//! Rollouts to make reports of: histories as the machine really writes them.

use rollout::evidence::{Apart, Block, Reading, TrackCounts, histogram};
use rollout::machine::{
    Actor, Command, Created, Event, Input, Outcome, Release, Rollout, RolloutId, Settled, decide,
    explain,
};
use rollout::plan::{Budget, Deploy, Gate, Metric, Plan, Stage, Test, Then};
use rollout::route::{DoorRoute, HealthCheck, Protocol, Route, Segments, Sticky, Timeouts};
use rollout::units::{Millis, Timestamp, Weight};

use crate::view::EventView;

/// 20 November 2026, 21:00 UTC.
const START: i64 = 1_795_208_400_000;

/// A rollout and its history, as it goes.
struct Story {
    rollout: Rollout,
    history: Vec<EventView>,
    now: Timestamp,
}

impl Story {
    fn begin() -> Self {
        let created = Event::Created(Box::new(created()));
        let Event::Created(inner) = &created else { unreachable!() };
        let rollout = Rollout::created(Timestamp(START), inner);
        let mut story = Self { rollout, history: Vec::new(), now: Timestamp(START) };
        story.tell(created);
        story
    }

    fn tell(&mut self, event: Event) {
        let text = explain(&self.rollout, &event);
        let seq = self.history.len() as u64 + 1;
        self.history.push(EventView {
            seq,
            at: self.now,
            kind: event.kind().to_owned(),
            text,
            event,
        });
    }

    /// What the machine makes of an input, some time later.
    fn then(&mut self, later: Millis, input: Input) {
        self.now = self.now.plus(later);
        for event in decide(&self.rollout, input, self.now).unwrap() {
            self.rollout.apply(self.now, &event);
            self.tell(event);
        }
    }

    /// An event that no decision makes by itself.
    fn note(&mut self, event: Event) {
        self.rollout.apply(self.now, &event);
        self.tell(event);
    }

    /// A window of traffic that ends now.
    fn window(&mut self, canary: Reading, stable: Reading) {
        let length = self.rollout.plan.block();
        let block = Block { from: self.now, to: self.now.plus(length), canary, stable };
        self.then(length, Input::Evidence(block));
    }

    fn end(self) -> (Rollout, Vec<EventView>) {
        (self.rollout, self.history)
    }
}

/// Waits for its turn.
pub(in crate::documents) fn waiting() -> (Rollout, Vec<EventView>) {
    Story::begin().end()
}

/// Runs its first stage, and nobody comes.
pub(in crate::documents) fn silent() -> (Rollout, Vec<EventView>) {
    let mut story = running();
    story.window(counts(0, 0, 1), counts(0, 0, 1));
    story.end()
}

/// Is promoted out of its first stage, fails in its second, and goes back.
pub(in crate::documents) fn rolled_back() -> (Rollout, Vec<EventView>) {
    let mut story = running();
    for _ in 0..3 {
        story.window(counts(20, 0, 1_500), counts(1_980, 4, 1_400));
    }
    story.window(Reading::Missing("no proxy is connected".to_owned()), counts(2_000, 3, 1_400));
    let resume = Event::Refused {
        command: Command::Resume,
        by: actor(),
        why: "only a paused rollout can be resumed".to_owned(),
    };
    story.note(resume);
    let promote = Command::Promote {
        stage: None,
        why: "seen enough | [really](https://example.com)".to_owned(),
    };
    story.then(Millis::from_secs(1), Input::Command(promote, actor()));
    while story.rollout.running().is_some() && story.history.len() < 100 {
        story.window(counts(200, 40, 90_000), counts(1_800, 4, 1_400));
    }
    let settled = Settled {
        key: "shop-2/9/0".to_owned(),
        given_up: Some("the receiver answered 500".to_owned()),
    };
    story.note(Event::DeliverySettled(settled));
    story.then(Millis::from_secs(2), Input::Outcome(Outcome::Withdrawn));
    story.end()
}

fn running() -> Story {
    let mut story = Story::begin();
    story.then(Millis(40), Input::Turn(Some(release("shop-1", "1.3.0"))));
    story.then(Millis::from_secs(3), Input::Outcome(Outcome::Deployed));
    story
}

fn counts(requests: u64, failures: u64, latency_us: u64) -> Reading {
    let latency =
        if requests == 0 { Vec::new() } else { vec![(histogram::bucket_of(latency_us), requests)] };
    Reading::Counts(TrackCounts {
        requests,
        failures,
        client_gone: requests / 100,
        shielded: failures / 2,
        testers: Apart::NONE,
        segments: Apart { requests: requests / 50, failures: failures / 10 },
        mirrored: None,
        slower_than: vec![failures],
        latency,
    })
}

fn actor() -> Actor {
    Actor { who: "admin".to_owned(), via: "cli".to_owned() }
}

fn created() -> Created {
    Created {
        id: RolloutId("shop-2".to_owned()),
        release: release("shop-2", "1.4.0"),
        plan: plan(),
        plan_hash: "b3f1".repeat(16),
        by: actor(),
        again: false,
    }
}

fn release(id: &str, version: &str) -> Release {
    Release {
        id: id.to_owned(),
        version: version.to_owned(),
        digest: "9c0d".repeat(16),
        deploy: deploy(),
        directory: "/srv/shop".to_owned(),
    }
}

fn deploy() -> Deploy {
    Deploy {
        command: vec!["./shop".to_owned()],
        env: std::collections::BTreeMap::new(),
        directory: None,
        ready_within: Millis::from_secs(30),
        protocol: Protocol::Http1,
        replicas: 1,
    }
}

fn plan() -> Plan {
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
            path: "/healthz".to_owned(),
            every: Millis::from_secs(1),
            timeout: Millis::from_secs(1),
            healthy_after: 1,
            unhealthy_after: 3,
        },
        timeouts: Timeouts {
            total: None,
            head: Millis::from_secs(10),
            connect: Millis::from_secs(1),
            first_byte: Millis::from_secs(30),
            idle: Millis::from_secs(60),
        },
        shield: None,
        balance: rollout::route::Balance::default(),
        drain: Millis::from_secs(10),
        stages: vec![stage("canary", 1), stage("ramp", 10), stage("rollout", 100)],
        bake: Millis::from_secs(3_600),
        hold_limit: Millis::from_secs(3_600),
        forgive: Millis::from_secs(5),
        min_requests: 50,
        budget: Budget { false_rollback_rate: 0.01, false_pass_rate: 0.05 },
        notify: Vec::new(),
    }
}

fn stage(name: &str, percent: u32) -> Stage {
    let error_rate = Gate {
        metric: Metric::ErrorRate,
        reads: "below 1%".to_owned(),
        test: Test::Below { limit: 0.01 },
        then: Then::RollBack,
    };
    let p99 = Gate {
        metric: Metric::Latency { quantile: 0.99, limit_us: 200_000 },
        reads: "below 200ms".to_owned(),
        test: Test::Below { limit: 0.01 },
        then: Then::RollBack,
    };
    Stage {
        name: name.to_owned(),
        weight: Weight::percent(percent),
        mirror: Weight::ZERO,
        soak: Millis::from_secs(600),
        gates: vec![error_rate, p99],
    }
}
