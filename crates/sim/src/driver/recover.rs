//! From the log to the state: what a start does after anything.

use std::collections::BTreeMap;

use rollout::machine::{Board, Event, Rollout, RolloutId};
use store::lease::LeaseError;
use store::log::{Log as _, Record};
use store::memory::MemoryLog;

use super::{Controller, LEASE};
use crate::env::{Env, Stop};

/// How many records are read at a time.
const PAGE: u32 = 1_000;

impl Controller {
    /// Takes the lease and replays the whole log.
    ///
    /// # Errors
    /// Another controller holds the lease, or this one died on the way.
    pub fn start(env: &mut Env, mut log: MemoryLog, name: &str) -> Result<Self, Stop> {
        let lease = match log.acquire(name, LEASE, env.now()) {
            Ok(lease) => lease,
            Err(LeaseError::Held { .. } | LeaseError::Lost(_) | LeaseError::Failed(_)) => {
                return Err(Stop::Overtaken);
            }
        };
        env.note(format!("{name} leads in epoch {}", lease.epoch()));
        let mut controller = Self {
            log,
            lease,
            rollouts: BTreeMap::new(),
            board: Board::default(),
            windows: BTreeMap::new(),
            wakes: BTreeMap::new(),
            pushes: 0,
            sent: None,
            sweep: true,
            live: Vec::new(),
        };
        controller.recover(env)?;
        Ok(controller)
    }

    fn recover(&mut self, env: &mut Env) -> Result<(), Stop> {
        let mut after = 0;
        loop {
            let page = self.log.reader().all(after, PAGE).unwrap_or_default();
            let Some(last) = page.last() else { break };
            after = last.position;
            for record in &page {
                self.take(record);
            }
        }
        env.crash_point("while it recovers")
    }

    fn take(&mut self, record: &Record) {
        let Ok(event) = serde_json::from_str::<Event>(&record.body) else { return };
        let id = RolloutId(record.rollout.clone());
        let after = match (self.rollouts.remove(&id), &event) {
            (Some(mut rollout), _) => {
                rollout.apply(record.at, &event);
                rollout
            }
            (None, Event::Created(created)) => Rollout::created(record.at, created),
            (None, _) => return,
        };
        self.board.apply(record.at, &after, &event);
        self.remember(&after);
        self.rollouts.insert(id, after);
    }

    /// Takes in what the log has and this controller does not; answers the rollout's last
    /// event. A commit that did not answer may have happened.
    pub(super) fn read_back(&mut self, env: &mut Env, id: &RolloutId) -> Result<u64, Stop> {
        let seq = |rollouts: &BTreeMap<RolloutId, Rollout>| rollouts.get(id).map_or(0, |it| it.seq);
        let records = self.log.reader().events(&id.0, seq(&self.rollouts)).unwrap_or_default();
        for record in &records {
            self.take(record);
        }
        env.crash_point("after reading back")?;
        Ok(seq(&self.rollouts))
    }
}
