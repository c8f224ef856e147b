//! The invariants, one function each, by their numbers in the design.

use std::collections::BTreeMap;
use std::fmt;

use rollout::evidence::Answer;
use rollout::machine::{Advance, Event, Rollout, RolloutId, desired};
use rollout::units::{Millis, Timestamp, Weight};
use store::log::Record;

use crate::model::{Model, Place};
use crate::proxy::Push;

/// No rollout is left alone for longer.
const LONGEST_SLEEP: Millis = Millis::from_secs(30);

/// What was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant: `I1`, ..., or `liveness`.
    pub code: &'static str,
    /// What was found.
    pub found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.found)
    }
}

/// Fails with `found` unless `holds`.
pub(crate) fn ensure(
    holds: bool,
    code: &'static str,
    found: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { code, found: found() }) }
}

/// I1: the canary's weight never exceeds that of the stage that has started, and is zero
/// before the first and after the last.
///
/// # Errors
/// The violation.
pub fn i1_weight(model: &Model, rollout: &Rollout) -> Result<(), Violation> {
    let (weight, cap) = (desired(rollout).weight, model.cap());
    ensure(weight <= cap, "I1", || {
        format!("{} wants {weight}, allowed {cap} in {:?}", rollout.id, model.place)
    })
}

/// I2: nothing ends a stage but passed gates with soak and requests, or a command over no
/// failed gate; and no request is evidence twice.
///
/// # Errors
/// The violation.
pub fn i2_evidence(model: &Model, event: &Event) -> Result<(), Violation> {
    match event {
        Event::BlockObserved { block } => ensure(block.from >= model.counted_to, "I2", || {
            format!(
                "a window from {:?} overlaps what was counted to {:?}",
                block.from, model.counted_to
            )
        }),
        Event::StageStarted { advance, .. }
        | Event::BakeStarted { advance }
        | Event::Promoted { advance } => earned(model, advance),
        _ => Ok(()),
    }
}

fn earned(model: &Model, advance: &Advance) -> Result<(), Violation> {
    let gates = match model.place {
        Place::Stage(index) => model.plan.stages.get(index).map_or(0, |stage| stage.gates.len()),
        _ => model.plan.stages.last().map_or(0, |stage| stage.gates.len()),
    };
    match advance {
        Advance::Deployed | Advance::FirstRelease => {
            ensure(model.place == Place::Deploying, "I2", || {
                format!("{:?} ended without evidence or command", model.place)
            })
        }
        Advance::Command { verdicts, .. } => {
            let failed = verdicts.iter().any(|it| it.verdict.answer == Answer::Fail);
            ensure(!failed, "I2", || "a command promoted over a failed gate".to_owned())
        }
        Advance::Evidence(verdicts) => {
            let passed = verdicts.iter().all(|it| it.verdict.answer == Answer::Pass);
            ensure(passed && verdicts.len() == gates, "I2", || {
                format!("{:?} ended with {gates} gates on {verdicts:?}", model.place)
            })?;
            let needed = if model.place == Place::Bake { 0 } else { model.plan.min_requests };
            ensure(model.requests >= needed, "I2", || {
                format!("{:?} ended on {} of {needed} requests", model.place, model.requests)
            })?;
            ensure(model.observed >= model.soak(), "I2", || {
                format!("{:?} ended after {} of {}", model.place, model.observed, model.soak())
            })
        }
    }
}

/// I2 as well: a request that was served once is evidence once.
///
/// # Errors
/// The violation.
pub fn i2_counted_once(model: &Model, served: u64) -> Result<(), Violation> {
    ensure(model.counted <= served, "I2", || {
        format!("{} requests are evidence, {served} were served", model.counted)
    })
}

/// I4: the stage index never falls and never skips, and there is no move but the known ones.
///
/// # Errors
/// The violation.
pub fn i4_moves(model: &Model, event: &Event) -> Result<(), Violation> {
    ensure(model.next(event).is_some(), "I4", || {
        format!("{} is no move from {:?}", event.kind(), model.place)
    })
}

/// I5: once a rollback has started, nothing gives the canary traffic again.
///
/// # Errors
/// The violation.
pub fn i5_back(model: &Model, rollout: &Rollout) -> Result<(), Violation> {
    let back = matches!(model.place, Place::Back | Place::Over);
    let wanted = desired(rollout);
    ensure(!back || wanted.weight.steps() == 0 && wanted.canary.is_none(), "I5", || {
        format!("{} wants a canary at {} after going back", rollout.id, wanted.weight)
    })
}

/// The most the canary may have in a state, and the invariant that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// The weight.
    pub weight: Weight,
    /// `I5` on the way back, else `I1`.
    pub code: &'static str,
}

impl Cap {
    /// The cap of the place `model` is in.
    pub fn of(model: &Model) -> Self {
        let back = matches!(model.place, Place::Back | Place::Over);
        Self { weight: model.cap(), code: if back { "I5" } else { "I1" } }
    }
}

/// I1 and I5 at the proxy: what it holds is no more than the state it was made from allows.
///
/// # Errors
/// The violation.
pub fn i1_proxy(held: &Push, caps: &BTreeMap<(RolloutId, u64), Cap>) -> Result<(), Violation> {
    let nothing = Cap { weight: Weight::ZERO, code: "I1" };
    let cap = held.seen.as_ref().and_then(|seen| caps.get(seen)).unwrap_or(&nothing);
    let weight = told(held);
    ensure(weight <= cap.weight, cap.code, || {
        format!("the proxy holds {weight} for {:?}, which allowed {}", held.seen, cap.weight)
    })
}

fn told(push: &Push) -> Weight {
    push.canary.as_ref().map_or(Weight::ZERO, |canary| canary.weight)
}

/// I5 at the proxy: what it holds never gets older.
///
/// # Errors
/// The violation.
pub fn i5_proxy(held: &Push, before: Option<&Push>) -> Result<(), Violation> {
    let newer = before.is_none_or(|before| held.generation >= before.generation);
    ensure(newer, "I5", || {
        format!(
            "the proxy went back from {:?} to {:?}",
            before.map(|it| it.generation),
            held.generation
        )
    })
}

/// I1 and I5 at the controller: once it has finished a step, what it told the proxy last is no
/// more than the log allows now.
///
/// # Errors
/// The violation.
pub fn i1_sent(sent: &Push, model: &Model) -> Result<(), Violation> {
    let (weight, cap) = (told(sent), Cap::of(model));
    ensure(weight <= cap.weight, cap.code, || {
        format!("the proxy was told {weight}, {:?} allows {}", model.place, cap.weight)
    })
}

/// I7: what the log makes is what was live, byte for byte.
///
/// # Errors
/// The violation.
pub fn i7_replay(
    id: &RolloutId,
    seq: u64,
    live: &[u8],
    logged: Option<&Vec<u8>>,
) -> Result<(), Violation> {
    ensure(logged.is_some_and(|bytes| bytes == live), "I7", || match logged {
        None => format!("{id} was live at event {seq}, which the log does not have"),
        Some(bytes) => format!(
            "{id} at event {seq} was live as\n{}\nand is replayed as\n{}",
            String::from_utf8_lossy(live),
            String::from_utf8_lossy(bytes)
        ),
    })
}

/// I9: places in a rollout are taken once and in order, and epochs never fall.
///
/// # Errors
/// The violation.
pub fn i9_one_writer(last_seq: u64, last_epoch: u64, record: &Record) -> Result<(), Violation> {
    ensure(record.seq == last_seq + 1, "I9", || {
        format!("{} has event {} after {last_seq}", record.rollout, record.seq)
    })?;
    ensure(record.epoch >= last_epoch, "I9", || {
        format!("epoch {} was written after {last_epoch}", record.epoch)
    })
}

/// I10: what is owed is stored with what owes it, neither more nor less.
///
/// # Errors
/// The violation.
pub fn i10_stored(owed: &[String], stored: &[String]) -> Result<(), Violation> {
    ensure(owed == stored, "I10", || format!("owed {owed:?}, stored {stored:?}"))
}

/// I10: a receiver sees only what was owed, and one text for one key.
///
/// # Errors
/// The violation.
pub fn i10_received(
    key: &str,
    text: &str,
    before: Option<&String>,
    is_owed: bool,
) -> Result<(), Violation> {
    ensure(is_owed, "I10", || format!("{key} was sent and is owed by nothing"))?;
    ensure(before.is_none_or(|before| before == text), "I10", || {
        format!("{key} said {before:?} first and then {text:?}")
    })
}

/// I17: a paused rollout changes by command or rollback alone; evidence goes on record.
///
/// # Errors
/// The violation.
pub fn i17_paused(model: &Model, event: &Event) -> Result<(), Violation> {
    let by_command = |advance: &Advance| matches!(advance, Advance::Command { .. });
    let allowed = match event {
        Event::StageStarted { advance, .. }
        | Event::BakeStarted { advance }
        | Event::Promoted { advance } => by_command(advance),
        Event::Held { .. } | Event::PersonAsked { .. } => false,
        _ => true,
    };
    ensure(!model.paused || allowed, "I17", || format!("{} while paused", event.kind()))
}

/// I18: every unfinished rollout has one wake-up, at most 30 s away; what is over has none.
///
/// # Errors
/// The violation.
pub fn i18_wake(
    model: &Model,
    id: &RolloutId,
    wake: Option<&Timestamp>,
    now: Timestamp,
) -> Result<(), Violation> {
    let over = model.place == Place::Over;
    let soon = wake.is_some_and(|at| *at <= now.plus(LONGEST_SLEEP));
    ensure(if over { wake.is_none() } else { soon }, "I18", || {
        format!("{id} is in {:?} and wakes at {wake:?}, now is {now:?}", model.place)
    })
}
