//! Several processes of one version: each is kept by itself, and none is missed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::kit::{Api, Place, Program, Users, until};

/// Requests a second.
const RATE: u32 = 300;
/// How often one of them is killed.
const KILLS: usize = 3;

/// The processes of stable, as the rollout shows them; `None` unless all three are well.
async fn all_three(api: &Api, id: &str) -> Option<BTreeSet<i32>> {
    let view = api.rollout(id).await.ok()?;
    let stable = view.tracks.iter().find(|track| track.track == "stable")?;
    let whole = stable.process.starts_with("3 of 3 ready on ");
    let pids = stable.process.split("(pid ").skip(1);
    let pids = pids.filter_map(|rest| rest.split_once(')')?.0.parse().ok());
    whole.then(|| pids.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_that_dies_under_load_is_missed_by_nobody_and_started_again() {
    let _turn = crate::LOAD.lock().await;
    let place = Place::new();
    let controller = Program::up_without_proxy(&place);
    let api = Api::of(&place).await;
    let _proxy = Program::proxy(&place);
    let stages = "  - { name: half, traffic: 50%, for: 1h }\n  - { name: all, traffic: 100% }\n";
    let plan = place.plan(stages).replace("run:\n", "run:\n  replicas: 3\n");
    let id = api.create(&place, &plan, "v1").await;
    api.until_state(&id, "promoted").await;
    let first = until("all three are well", async || all_three(&api, &id).await).await;
    assert_eq!(first.len(), 3, "three processes of their own");

    let users = Users::come(&place, RATE);
    let began = Instant::now();
    until("somebody is answered", async || users.met("v1", began).then_some(())).await;
    let mut before = first;
    for nth in 0..KILLS {
        let killed = *before.iter().nth(nth % 3).unwrap();
        kill_process(Pid::from_raw(killed).unwrap(), Signal::KILL).unwrap();
        let after = until("it is started again", async || {
            all_three(&api, &id).await.filter(|pids| !pids.contains(&killed))
        })
        .await;
        assert_eq!(after.intersection(&before).count(), 2, "the others were left alone");
        before = after;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    controller.kill();
    let _controller = Program::up_without_proxy(&place);
    let adopted = until("all three are found again", async || all_three(&api, &id).await).await;
    assert_eq!(adopted, before, "the very same processes");
    let visits = users.leave();
    let lost: Vec<_> = visits.iter().filter(|visit| visit.is_lost()).collect();
    println!("{} requests, {KILLS} of three processes killed: {} lost", visits.len(), lost.len());
    assert!(lost.is_empty(), "{} lost, the first: {:?}", lost.len(), lost.first());
}
