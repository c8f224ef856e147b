//! Changes of the canary's weight under load: nobody fails, and once a command is answered
//! nobody new is on the old side. `benches/weights/run` is this test at full load.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rollout::bucket::{bucket, meets_canary};
use rollout::units::Weight;

use super::kit::{Api, Place, Program, Users, Visit, figure, until};

/// Requests a second, unless `SLUICE_RATE` says otherwise.
const RATE: u32 = 300;
/// Rollouts, each with four changes, unless `SLUICE_ROUNDS` says otherwise.
const ROUNDS: u32 = 2;
/// How long each weight is left in force.
const CALM: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_weight_fails_nobody_and_is_in_force_when_it_is_answered() {
    let _turn = crate::LOAD.lock().await;
    let (rate, rounds) = (figure("SLUICE_RATE", RATE), figure("SLUICE_ROUNDS", ROUNDS));
    let place = Place::new();
    let _controller = Program::up(&place);
    let api = Api::of(&place).await;
    let plan = place.plan(
        "  - { name: some, traffic: 5%, for: 1h }\n  - { name: half, traffic: 50%, for: 1h }\n  - { name: all, traffic: 100% }\n",
    );
    let first = api.create(&place, &plan, "v1").await;
    api.until_state(&first, "promoted").await;
    let users = Users::come(&place, rate);
    let mut changes = Vec::new();
    for _ in 0..rounds {
        changes.extend(round(&place, &api, &plan, &users).await);
    }
    let visits = users.leave();

    let lost: Vec<_> = visits.iter().filter(|visit| visit.is_lost()).collect();
    println!(
        "{} requests at {rate}/s, {} changes: {} lost",
        visits.len(),
        changes.len(),
        lost.len()
    );
    report(&changes, &visits);
    assert!(lost.is_empty(), "{} lost, the first: {:?}", lost.len(), lost.first());
    for change in &changes {
        let wrong: Vec<_> = visits.iter().filter(|visit| change.is_wrong(visit)).collect();
        assert!(wrong.is_empty(), "{change:?}: {} on the old side, {:?}", wrong.len(), wrong[0]);
    }
}

/// One change of the weight.
#[derive(Clone, Debug)]
struct Change {
    what: &'static str,
    /// The salt of the rollout's buckets.
    rollout: String,
    before: Weight,
    after: Weight,
    /// When the command was sent.
    sent: Instant,
    /// When its answer was there.
    answered: Instant,
    /// When the next command was sent.
    until: Instant,
}

impl Change {
    fn expected(&self, user: &str, weight: Weight) -> &'static str {
        if meets_canary(bucket(&self.rollout, user), weight) { "v2" } else { "v1" }
    }

    /// Whether a request sent after the answer was still answered by the old side.
    fn is_wrong(&self, visit: &Visit) -> bool {
        visit.sent >= self.answered
            && visit.came < self.until
            && visit.outcome.as_deref() != Ok(self.expected(&visit.user, self.after))
    }

    /// Whether a request of a user who changes sides was still answered by the old one.
    fn is_old(&self, visit: &Visit) -> bool {
        let old = self.expected(&visit.user, self.before);
        visit.sent >= self.sent
            && visit.came < self.until
            && old != self.expected(&visit.user, self.after)
            && visit.outcome.as_deref() == Ok(old)
    }

    /// From the command being sent to the last request that went to the old side.
    fn last_old(&self, visits: &[Visit]) -> Duration {
        let old = visits.iter().filter(|visit| self.is_old(visit));
        old.map(|visit| visit.sent - self.sent).max().unwrap_or_default()
    }
}

/// A rollout: up to half, held at 5 %, let go again, and back.
async fn round(place: &Place, api: &Api, plan: &str, users: &Users) -> Vec<Change> {
    let id = api.create(place, plan, "v2").await;
    let since = Instant::now();
    api.until_state(&id, "running").await;
    until("the canary answers", async || users.met("v2", since).then_some(())).await;
    let steps = [("promote", 5, 50), ("limit", 50, 5), ("lift", 5, 50), ("rollback", 50, 0)];
    let mut changes: Vec<Change> = Vec::new();
    for (what, before, after) in steps {
        let (before, after) = (Weight::percent(before), Weight::percent(after));
        let sent = Instant::now();
        if let Some(last) = changes.last_mut() {
            last.until = sent;
        }
        match what {
            "promote" | "rollback" => drop(api.command(&id, what, "measured").await.unwrap()),
            _ => api.limit(after).await,
        }
        let answered = Instant::now();
        tokio::time::sleep(CALM).await;
        let (rollout, until) = (id.clone(), Instant::now());
        changes.push(Change { what, rollout, before, after, sent, answered, until });
    }
    api.until_state(&id, "rolled back").await;
    changes
}

fn report(changes: &[Change], visits: &[Visit]) {
    let mut by_kind: BTreeMap<&str, Vec<&Change>> = BTreeMap::new();
    for change in changes {
        by_kind.entry(change.what).or_default().push(change);
        by_kind.entry("all").or_default().push(change);
    }
    for (what, changes) in by_kind {
        let last = changes.iter().map(|change| change.last_old(visits)).collect();
        let answer = changes.iter().map(|change| change.answered - change.sent).collect();
        println!(
            "{what:>9} ({:>3}): answered after {}; last request to the old side sent after {}",
            changes.len(),
            quantiles(answer),
            quantiles(last),
        );
    }
}

fn quantiles(mut lengths: Vec<Duration>) -> String {
    lengths.sort_unstable();
    let at = |percent: usize| {
        let index = (lengths.len() * percent).div_ceil(100).max(1) - 1;
        format!("{:.2} ms", lengths[index].as_secs_f64() * 1_000.0)
    };
    format!("p50 {}, p99 {}, max {}", at(50), at(99), at(100))
}
