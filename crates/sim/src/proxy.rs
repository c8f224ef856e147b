//! A proxy: what it holds, what it counts, and a guard with the real test in it.

use std::collections::BTreeMap;

use rollout::evidence::{Tally, TrackCounts, Trip};
use rollout::machine::{RolloutId, TripFacts};
use rollout::route::{CanaryRoute, Generation, TripRule};
use rollout::units::{Millis, Weight};

use crate::seed::Rng;

/// What the controller tells the proxy, and from which state it was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Push {
    /// Its place in the order of all pushes.
    pub generation: Generation,
    /// The rollout under way, and its last event when this was made.
    pub seen: Option<(RolloutId, u64)>,
    /// The release that serves.
    pub stable: Option<String>,
    /// The canary and its share.
    pub canary: Option<CanaryRoute>,
}

/// How one release really behaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Truth {
    /// The share of requests it fails, 0..=1.
    pub bad: f64,
    /// The share of the others that are slower than the plan's limit, 0..=1.
    pub slow: f64,
}

/// The proxy.
#[derive(Debug, Default)]
pub struct Proxy {
    held: Option<Push>,
    late: Vec<(Millis, Push)>,
    guard: Guard,
    counters: BTreeMap<String, TrackCounts>,
    /// A sabotaged proxy takes what arrives last for what is newest.
    pub takes_old: bool,
}

#[derive(Debug, Default)]
struct Guard {
    key: String,
    watched: Vec<(TripRule, Trip)>,
    since_restart: Millis,
    shut: Option<TripFacts>,
}

impl Proxy {
    /// What it serves by.
    pub const fn held(&self) -> Option<&Push> {
        self.held.as_ref()
    }

    /// The canary's share in force: none once the guard has shut the gate.
    pub fn in_force(&self) -> Weight {
        match (&self.guard.shut, self.held.as_ref().and_then(|push| push.canary.as_ref())) {
            (None, Some(canary)) => canary.weight,
            _ => Weight::ZERO,
        }
    }

    /// What it has counted for `release` since ever.
    pub fn counts(&self, release: &str) -> TrackCounts {
        self.counters.get(release).cloned().unwrap_or_default()
    }

    /// The gate its guard has shut, told again until the stretch it belongs to is over.
    pub const fn shut(&self) -> Option<&TripFacts> {
        self.guard.shut.as_ref()
    }

    /// Takes a push, unless what it holds is newer.
    pub fn take(&mut self, push: Push) {
        let newer = self.held.as_ref().is_none_or(|held| push.generation > held.generation);
        if !newer && !self.takes_old {
            return;
        }
        if let Some(canary) = &push.canary
            && canary.guard_key != self.guard.key
        {
            self.guard = Guard::watch(canary);
        }
        self.held = Some(push);
    }

    /// Takes a push at `due`.
    pub fn take_late(&mut self, due: Millis, push: Push) {
        self.late.push((due, push));
    }

    /// Takes what has arrived by `now`.
    pub fn arrive(&mut self, now: Millis) {
        let (arrived, late) =
            std::mem::take(&mut self.late).into_iter().partition(|it| it.0 <= now);
        self.late = late;
        let arrived: Vec<(Millis, Push)> = arrived;
        for (_, push) in arrived {
            self.take(push);
        }
    }

    /// Serves `requests` within `length`.
    pub fn serve(
        &mut self,
        requests: u64,
        length: Millis,
        truth: &impl Fn(&str) -> Truth,
        rng: &mut Rng,
    ) {
        let Some(held) = self.held.clone() else { return };
        let canary = held.canary.as_ref().map(|canary| canary.track.release.as_str());
        let to_canary = rng.binomial(requests, self.in_force().fraction());
        let one = canary.map(|release| self.answer(release, to_canary, truth(release), rng));
        let rest = requests - if canary.is_some() { to_canary } else { 0 };
        let two = held.stable.map(|release| self.answer(&release, rest, truth(&release), rng));
        if let Some(one) = one {
            self.guard.look(length, &one, &two.unwrap_or_default(), canary.unwrap_or_default());
        }
    }

    fn answer(&mut self, release: &str, requests: u64, truth: Truth, rng: &mut Rng) -> TrackCounts {
        let failures = rng.binomial(requests, truth.bad);
        let slow = failures + rng.binomial(requests - failures, truth.slow);
        let counts =
            TrackCounts { requests, failures, slower_than: vec![slow], ..TrackCounts::default() };
        let sum = self
            .counters
            .entry(release.to_owned())
            .or_insert_with(|| TrackCounts { slower_than: vec![0], ..TrackCounts::default() });
        sum.requests += requests;
        sum.failures += failures;
        sum.slower_than[0] += slow;
        counts
    }
}

impl Guard {
    fn watch(canary: &CanaryRoute) -> Self {
        let watched = canary.trips.iter().map(|rule| (rule.clone(), Trip::new(&rule.spec)));
        Self { key: canary.guard_key.clone(), watched: watched.collect(), ..Self::default() }
    }

    fn look(&mut self, length: Millis, canary: &TrackCounts, stable: &TrackCounts, release: &str) {
        self.since_restart = self.since_restart.plus(length);
        for (rule, trip) in &mut self.watched {
            let tally = |counts: &TrackCounts| counts.tally(rule.bad).unwrap_or_default();
            trip.observe(&rule.spec, tally(canary), tally(stable));
            if self.since_restart >= rule.spec.restart_every {
                trip.restart(&rule.spec);
            }
            if self.shut.is_none() && trip.fired(&rule.spec) {
                self.shut = Some(facts(release, rule, trip));
            }
        }
        if self.watched.iter().all(|(rule, _)| self.since_restart >= rule.spec.restart_every) {
            self.since_restart = Millis::ZERO;
        }
    }
}

fn facts(release: &str, rule: &TripRule, trip: &Trip) -> TripFacts {
    let numbers = trip.numbers();
    let Tally { bad, total } = numbers.canary;
    TripFacts {
        release: release.to_owned(),
        gate: rule.gate.clone(),
        requests: total,
        bad,
        evidence: numbers.absolute,
        evidence_needed: rule.spec.ln_threshold,
        shut_after_us: None,
    }
}
