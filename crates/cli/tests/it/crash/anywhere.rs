//! `kill -9` of `sluice up` at any moment of a rollout.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Instant;

use rollout::machine::{Rollout, State, desired};
use rollout::units::Weight;
use server::view::RolloutState;

use super::kit::{Api, Log, Place, Program, Scatter, Users, Visit, figure, running, stages, until};

/// How often the controller is killed, unless `SLUICE_KILLS` says otherwise.
const KILLS: u32 = 50;
/// Requests a second.
const RATE: u32 = 200;
/// The first stage's weight in percent; each has 1 % more than the one before.
const FIRST: u32 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_at_any_moment_goes_on_where_it_was() {
    let _turn = crate::LOAD.lock().await;
    let (place, kills) = (Place::new(), figure("SLUICE_KILLS", KILLS));
    let mut scatter = Scatter(0x5eed_0002);
    let mut controller = Program::up(&place);
    let api = Api::of(&place).await;
    let first = api.create(&place, &plan(&place), "v1").await;
    api.until_state(&first, "promoted").await;
    let users = Users::come(&place, RATE);
    let began = Instant::now();
    let (mut seen, mut spells, mut up_since) = (Seen::default(), Vec::new(), Instant::now());

    for kill in 0..kills {
        // A quarter of the moments are right after the start, before anything answers.
        if kill % 4 != 0 {
            api.answers().await;
            keep_rolling(&place, &api, &mut seen).await;
        }
        tokio::time::sleep(scatter.within_ms(if kill % 4 == 0 { 60 } else { 1_200 })).await;
        spells.push(up_since..Instant::now());
        controller.kill();
        let before = running(&place.service);
        let log = Log::left_in(&place).await;

        controller = Program::up(&place);
        api.answers().await;
        goes_on(&api, &log, &mut seen).await;
        runs_once(&place, &log, &before, &mut seen).await;
        serves(&users).await;
        up_since = Instant::now();
    }

    let visits = users.leave();
    println!(
        "{kills} kills in {:.1} s: {} stage changes seen, in {} rollouts; every kept process had \
         its pid ({} compared); {} requests, {} lost while nobody listened",
        began.elapsed().as_secs_f64(),
        seen.stage_changes,
        seen.rollouts.len(),
        seen.pids_compared,
        visits.len(),
        visits.iter().filter(|visit| visit.is_lost()).count(),
    );
    let while_up = |visit: &&Visit| {
        let spell = |spell: &Range<Instant>| visit.sent >= spell.start && visit.came < spell.end;
        visit.is_lost() && spells.iter().any(spell)
    };
    let lost: Vec<_> = visits.iter().filter(while_up).collect();
    assert!(lost.is_empty(), "{} lost while it ran, the first: {:?}", lost.len(), lost[0]);
    assert!(seen.stage_changes > kills / 4, "it hardly moved: {seen:?}");
    finishes(&api, &mut seen).await;
}

/// What the rounds add up to.
#[derive(Debug, Default)]
struct Seen {
    rollouts: BTreeSet<String>,
    stage: usize,
    stage_changes: u32,
    pids_compared: u32,
}

/// Many short stages without gates: almost every moment is near the change of one.
fn plan(place: &Place) -> String {
    let stage = |percent| format!("  - {{ name: s{percent}, traffic: {percent}%, for: 300ms }}\n");
    place.plan(&(FIRST..=100).map(stage).collect::<String>())
}

/// The next rollout, when the one before has ended.
async fn keep_rolling(place: &Place, api: &Api, seen: &mut Seen) {
    let newest = api.list().await.unwrap().swap_remove(0);
    if newest.over {
        let next = if newest.version == "v1" { "v2" } else { "v1" };
        let id = api.create(place, &plan(place), next).await;
        seen.rollouts.insert(id);
        seen.stage = 0;
    }
}

/// The rollout that the log left under way is under way, no earlier in its stages than there,
/// with that stage's weight; its history begins with what the log said.
async fn goes_on(api: &Api, log: &Log, seen: &mut Seen) {
    let Some(left) = log.last.as_ref() else { return };
    let view = api.rollout(&left.id.to_string()).await.unwrap();
    let history = api.history(&view.id).await;
    assert!(view.seq >= left.seq && history.len() as u64 >= left.seq, "{view:?} after {left:?}");
    let passed = stages(&history);
    assert!(passed.iter().copied().eq(0..passed.len()), "stages fell or were skipped: {passed:?}");
    assert_eq!(left.records.len().min(passed.len()), left.records.len(), "{passed:?}");
    assert!(matches!(view.state.name(), "deploying" | "running" | "promoted"), "{}", view.state);
    if view.state == RolloutState::Running {
        let stage = view.stages.iter().position(|stage| stage.status == "current").unwrap();
        assert!(Some(stage) >= left.running().map(|running| running.stage), "{stage}: {left:?}");
        assert_eq!(view.weight, Weight::percent(FIRST + u32::try_from(stage).unwrap()));
        let canary = view.tracks.iter().find(|track| track.track == "canary").unwrap();
        assert!(canary.in_force <= Some(view.weight), "{:?} at {}", canary.in_force, view.weight);
        seen.stage_changes += u32::try_from(stage.saturating_sub(seen.stage)).unwrap();
        seen.stage = stage;
    }
}

/// One process for each release that is wanted, and the very one there was before.
async fn runs_once(
    place: &Place,
    log: &Log,
    before: &BTreeMap<String, BTreeSet<i32>>,
    seen: &mut Seen,
) {
    let Some(left) = &log.last else { return };
    let wanted = kept(left);
    until("everything wanted runs", async || {
        let runs = running(&place.service);
        wanted.iter().all(|release| runs.contains_key(release)).then_some(())
    })
    .await;
    let runs = running(&place.service);
    for (release, pids) in &runs {
        assert_eq!(pids.len(), 1, "{release} runs more than once: {runs:?}");
    }
    for release in wanted {
        if let Some(pids) = before.get(&release) {
            assert_eq!(&runs[&release], pids, "{release} was started again");
            seen.pids_compared += 1;
        }
    }
}

/// The releases that certainly stay for a while.
fn kept(left: &Rollout) -> Vec<String> {
    let wanted = desired(left);
    let near_the_end = left.records.len() + 3 > left.plan.stages.len();
    let stable =
        wanted.stable.filter(|_| !near_the_end || matches!(left.state, State::Ended { .. }));
    stable.into_iter().chain(wanted.canary).map(|release| release.id.clone()).collect()
}

/// Somebody is answered again.
async fn serves(users: &Users) {
    let since = Instant::now();
    until("users are answered", async || {
        (users.met("v1", since) || users.met("v2", since)).then_some(())
    })
    .await;
}

/// What is under way when the killing stops comes to its end.
async fn finishes(api: &Api, seen: &mut Seen) {
    let newest = api.list().await.unwrap().swap_remove(0);
    if !newest.over {
        api.command(&newest.id, "promote", "the last mile").await.unwrap();
        seen.rollouts.insert(newest.id.clone());
        let after = api.rollout(&newest.id).await.unwrap();
        assert!(after.seq > newest.seq);
    }
}
