//! Facts become state. Nothing is decided here, and nothing can fail: what does not fit the
//! state it meets leaves it as it is.

use std::collections::BTreeSet;

use super::event::{Created, Event};
use super::judge::verdicts;
use super::record::{StageRecord, met};
use super::state::{End, Pause, Phase, Rollout, Running, State};
use crate::evidence::{Block, GateSpec, GateState, Reading, Tally, gate_specs};
use crate::plan::{Gate, Plan};
use crate::units::{Millis, Timestamp, Weight};

impl Rollout {
    /// The rollout a first event creates.
    pub fn created(at: Timestamp, created: &Created) -> Self {
        Self {
            id: created.id.clone(),
            seq: 1,
            release: created.release.clone(),
            stable: None,
            plan: created.plan.clone(),
            plan_hash: created.plan_hash.clone(),
            author: created.by.who.clone(),
            again: created.again,
            created_at: at,
            state: State::Waiting { paused: None },
            records: Vec::new(),
            settled: BTreeSet::new(),
        }
    }

    /// The rollout its events make; `None` when the first is not [`Event::Created`].
    pub fn replay<'a>(events: impl IntoIterator<Item = (Timestamp, &'a Event)>) -> Option<Self> {
        let mut events = events.into_iter();
        let (at, Event::Created(created)) = events.next()? else {
            return None;
        };
        let mut rollout = Self::created(at, created);
        for (at, event) in events {
            rollout.apply(at, event);
        }
        Some(rollout)
    }

    /// Takes one fact in. The same events give the same state, live and in replay.
    pub fn apply(&mut self, at: Timestamp, event: &Event) {
        self.seq = self.seq.saturating_add(1);
        match event {
            Event::Created(_) | Event::Refused { .. } => {}
            Event::DeliverySettled(settled) => {
                self.settled.insert(settled.key.clone());
            }
            Event::Began { stable } => {
                self.stable = stable.as_deref().cloned();
                self.state = State::Deploying { since: at };
            }
            Event::StageStarted { index, .. } => self.begin_stage(at, *index),
            Event::BakeStarted { .. } => self.begin_bake(at),
            Event::BlockObserved { block } => {
                self.observe(block);
                self.observe_last(block);
            }
            Event::Paused { why, by } => self.pause(at, why, &by.who),
            Event::Resumed { .. } => self.resume(),
            Event::RollbackStarted { cause } => {
                self.close_record(at);
                let counted_to = self.running().map_or(at, |running| running.counted_to);
                self.state = State::RollingBack { since: at, counted_to, cause: cause.clone() };
            }
            Event::RolledBack => self.rolled_back(at),
            Event::Promoted { .. } => self.end(at, End::Promoted),
            Event::Superseded { by } => self.end(at, End::Superseded(by.clone())),
            Event::CalledOff { .. } => self.end(at, End::CalledOff),
            Event::Held { .. }
            | Event::PersonAsked { .. }
            | Event::Alerted { .. }
            | Event::AlertEnded { .. }
            | Event::Limited { .. } => self.remark(event),
        }
    }

    fn begin_stage(&mut self, at: Timestamp, index: usize) {
        self.close_record(at);
        let Some(stage) = self.plan.stages.get(index) else {
            return;
        };
        self.records.push(StageRecord::begin(stage.name.clone(), stage.weight, at));
        let gates = gate_specs(&self.plan, index).iter().map(|_| GateState::new()).collect();
        self.state = State::Running(Running {
            stage: index,
            phase: Phase::Stage,
            started_at: at,
            counted_to: at,
            elapsed: Millis::ZERO,
            observed: Millis::ZERO,
            requests: 0,
            gates,
            limit: None,
            held_low: false,
            held: None,
            asked: false,
            alerting: BTreeSet::new(),
        });
    }

    /// The bake goes on with the last stage's evidence: it is the same exposure, and one
    /// rollout has one budget.
    fn begin_bake(&mut self, at: Timestamp) {
        self.close_record(at);
        let Some(running) = self.running().cloned() else {
            return;
        };
        let weight = self.stage().map_or(Weight::FULL, |stage| stage.weight);
        self.records.push(StageRecord::begin("bake".to_owned(), weight, at));
        self.state = State::Running(Running {
            phase: Phase::Bake,
            started_at: at,
            elapsed: Millis::ZERO,
            observed: Millis::ZERO,
            held: None,
            asked: false,
            ..running
        });
    }

    /// Traffic of a rollout that goes back is no evidence any more, but the report tells of all
    /// of it: of what shut the gate, and of what was under way then.
    fn observe_last(&mut self, block: &Block) {
        let State::RollingBack { counted_to, .. } = &mut self.state else {
            return;
        };
        *counted_to = block.to.max(*counted_to);
        if let Some(record) = self.records.last_mut() {
            let end = record.ended_at.unwrap_or(block.to).min(block.to);
            record.add(&block.canary, &block.stable, end.since(block.from));
        }
    }

    fn observe(&mut self, block: &Block) {
        let Self { state, plan, records, .. } = self;
        let (State::Running(running) | State::Paused { running, .. }) = state else {
            return;
        };
        let length = counted_length(plan, block);
        running.counted_to = running.counted_to.max(block.to);
        running.elapsed = running.elapsed.plus(length);
        let weight = plan.stages.get(running.stage).map_or(Weight::FULL, |stage| stage.weight);
        if let Reading::Counts(counts) = &block.canary
            && met(weight, counts) > 0
            && !running.held_low
        {
            running.requests = running.requests.saturating_add(met(weight, counts));
            running.observed = running.observed.plus(length);
        }
        running.held_low = is_held_low(plan, running);
        observe_gates(running, plan, block, length);
        if let Some(record) = records.last_mut() {
            record.add(&block.canary, &block.stable, length);
        }
    }

    fn pause(&mut self, at: Timestamp, why: &str, by: &str) {
        let pause = Pause { since: at, by: by.to_owned(), why: why.to_owned() };
        match &mut self.state {
            State::Running(running) => {
                self.state = State::Paused { running: running.clone(), pause };
            }
            State::Waiting { paused } => *paused = Some(pause),
            _ => {}
        }
    }

    fn resume(&mut self) {
        match &mut self.state {
            State::Paused { running, .. } => self.state = State::Running(running.clone()),
            State::Waiting { paused } => *paused = None,
            _ => {}
        }
    }

    fn rolled_back(&mut self, at: Timestamp) {
        if let State::RollingBack { cause, .. } = &self.state {
            let cause = cause.clone();
            self.end(at, End::RolledBack(Box::new(cause)));
        }
    }

    fn end(&mut self, at: Timestamp, end: End) {
        self.close_record(at);
        self.state = State::Ended { at, end };
    }

    /// Facts that change what is remembered of the stage, not where the rollout is.
    fn remark(&mut self, event: &Event) {
        let Self { state, plan, .. } = self;
        let (State::Running(running) | State::Paused { running, .. }) = state else {
            return;
        };
        match event {
            Event::Held { why } => running.held = Some(why.clone()),
            Event::PersonAsked { .. } => running.asked = true,
            Event::Alerted { found } => {
                running.alerting.insert(found.gate.clone());
            }
            Event::AlertEnded { gate } => {
                running.alerting.remove(gate);
            }
            Event::Limited { weight, .. } => {
                running.limit = Some(*weight);
                // Letting go does not clean the window under way: a part of it was held low.
                running.held_low |= is_held_low(plan, running);
            }
            _ => {}
        }
    }

    fn close_record(&mut self, at: Timestamp) {
        let found = verdicts(self);
        if let Some(record) = self.records.last_mut()
            && record.ended_at.is_none()
        {
            record.ended_at = Some(at);
            record.verdicts = found;
        }
    }
}

/// Whether fewer users meet the canary than the stage is about.
fn is_held_low(plan: &Plan, running: &Running) -> bool {
    let stage = plan.stages.get(running.stage);
    stage.is_some_and(|stage| running.limit.is_some_and(|limit| limit < stage.weight))
}

/// The time a block counts for: its own length, but never more than two blocks. A controller
/// that was away, or a clock that jumped, must not meet a soak.
fn counted_length(plan: &Plan, block: &Block) -> Millis {
    block.to.since(block.from).min(plan.block().times(2))
}

fn observe_gates(running: &mut Running, plan: &Plan, block: &Block, length: Millis) {
    let Some(stage) = plan.stages.get(running.stage) else {
        return;
    };
    let specs = gate_specs(plan, running.stage);
    let limits = plan.latency_limits_us();
    for ((gate, spec), state) in stage.gates.iter().zip(&specs).zip(&mut running.gates) {
        observe_gate(state, spec, gate, &limits, block, length);
    }
}

fn observe_gate(
    state: &mut GateState,
    spec: &GateSpec,
    gate: &Gate,
    limits: &[u64],
    block: &Block,
    length: Millis,
) {
    match (tally(gate, limits, &block.canary), tally(gate, limits, &block.stable)) {
        (Ok(canary), Ok(stable)) => state.observe(spec, canary, stable, length),
        (Err(why), _) => state.missing(&format!("the canary's counts are missing: {why}")),
        (_, Err(why)) => state.missing(&format!("stable's counts are missing: {why}")),
    }
}

fn tally(gate: &Gate, limits: &[u64], reading: &Reading) -> Result<Tally, String> {
    match reading {
        Reading::Missing(why) => Err(why.clone()),
        Reading::Counts(counts) => gate
            .metric
            .bad(limits)
            .and_then(|bad| counts.tally(bad))
            .ok_or_else(|| "the source does not count what this gate needs".to_owned()),
    }
}
