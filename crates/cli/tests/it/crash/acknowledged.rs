//! What was acknowledged is in the log, whatever happened afterwards.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rollout::machine::Event;
use server::view::EventView;
use server::view::RolloutState;
use tokio::task::JoinHandle;

use super::kit::{Api, Log, Place, Program, Scatter, figure, until};

/// How often the controller is killed, unless `SLUICE_KILLS` says otherwise.
const KILLS: u32 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_command_survives_a_kill() {
    let _turn = crate::LOAD.lock().await;
    let (place, kills) = (Place::new(), figure("SLUICE_KILLS", KILLS));
    let mut seed = Scatter(0x5eed_0003);
    let mut controller = Program::up(&place);
    let api = Api::of(&place).await;
    let plan =
        place.plan("  - { name: half, traffic: 50%, for: 1h }\n  - { name: all, traffic: 100% }\n");
    let first = api.create(&place, &plan, "v1").await;
    api.until_state(&first, "promoted").await;
    let id = api.create(&place, &plan, "v2").await;
    api.until_state(&id, "running").await;

    let operator = Operator::begins(api.clone(), id.clone());
    for _ in 0..kills {
        let before = operator.count();
        until("commands are acknowledged", async || (operator.count() > before).then_some(()))
            .await;
        tokio::time::sleep(seed.within_ms(300)).await;
        controller.kill();
        Log::left_in(&place).await;
        controller = Program::up(&place);
        api.answers().await;
    }
    let acknowledged = operator.ends().await;

    let history = api.history(&id).await;
    for one in &acknowledged {
        assert!(history.iter().any(|event| one.is(event)), "{one:?} is lost");
    }
    println!("{kills} kills: {} acknowledged commands, 0 lost", acknowledged.len());
    assert!(acknowledged.len() as u64 > u64::from(kills));
    assert!(controller.runs());
}

/// A command that was answered with 200.
#[derive(Clone, Debug)]
enum Acknowledged {
    Pause {
        why: String,
    },
    /// Its event came after the first number, and no later than the second.
    Resume {
        after: u64,
        until: u64,
    },
}

impl Acknowledged {
    fn is(&self, found: &EventView) -> bool {
        match (self, &found.event) {
            (Self::Pause { why }, Event::Paused { why: written, .. }) => why == written,
            (Self::Resume { after, until }, Event::Resumed { .. }) => {
                (*after + 1..=*until).contains(&found.seq)
            }
            _ => false,
        }
    }
}

/// Pauses and resumes a rollout without end.
struct Operator {
    acknowledged: Arc<Mutex<Vec<Acknowledged>>>,
    task: JoinHandle<()>,
}

impl Operator {
    fn begins(api: Api, id: String) -> Self {
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(operate(api, id, acknowledged.clone()));
        Self { acknowledged, task }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    async fn ends(self) -> Vec<Acknowledged> {
        self.task.abort();
        let _ = self.task.await;
        let acknowledged = self.acknowledged.lock().unwrap();
        acknowledged.clone()
    }
}

async fn operate(api: Api, id: String, acknowledged: Arc<Mutex<Vec<Acknowledged>>>) {
    for nth in 0_u64.. {
        // Asked before each command: one that was not acknowledged may have happened.
        let Ok(view) = api.rollout(&id).await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let why = format!("pause {nth}");
        let what = if view.state == RolloutState::Paused { "resume" } else { "pause" };
        let Ok(after) = api.command(&id, what, &why).await else { continue };
        acknowledged.lock().unwrap().push(match what {
            "pause" => Acknowledged::Pause { why },
            _ => Acknowledged::Resume { after: view.seq, until: after.seq },
        });
    }
}
