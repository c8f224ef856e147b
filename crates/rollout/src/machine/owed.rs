//! What is owed to others when something happens: written with the event, performed later,
//! at least once, under a key that tells repeats apart.

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::explain::explain;
use super::state::Rollout;

/// One message owed to one receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// `rollout:seq:n`, the same at every attempt.
    pub key: String,
    /// The receiver's place in the plan's `notify`.
    pub receiver: usize,
    /// How loud it is.
    pub level: Level,
    /// The event's kind.
    pub kind: String,
    /// What happened, in one sentence.
    pub text: String,
}

/// How loud a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Good to know.
    Info,
    /// Somebody should look.
    Warning,
    /// Users were in danger.
    Critical,
}

/// The messages owed for `event`, number `seq` of the rollout as it is after it.
pub fn deliveries(rollout: &Rollout, seq: u64, event: &Event) -> Vec<Delivery> {
    let Some(level) = level(event) else {
        return Vec::new();
    };
    (0..rollout.plan.notify.len())
        .map(|receiver| Delivery {
            key: format!("{}:{seq}:{receiver}", rollout.id),
            receiver,
            level,
            kind: event.kind().to_owned(),
            text: explain(rollout, event),
        })
        .collect()
}

/// How loud an event is; `None` for those nobody is told of.
const fn level(event: &Event) -> Option<Level> {
    match event {
        Event::Began { .. }
        | Event::StageStarted { .. }
        | Event::BakeStarted { .. }
        | Event::Promoted { .. }
        | Event::Superseded { .. }
        | Event::CalledOff { .. }
        | Event::Paused { .. }
        | Event::Resumed { .. }
        | Event::Limited { .. }
        | Event::AlertEnded { .. }
        | Event::RolledBack => Some(Level::Info),
        Event::Held { .. } | Event::PersonAsked { .. } => Some(Level::Warning),
        Event::Alerted { .. } | Event::RollbackStarted { .. } => Some(Level::Critical),
        Event::Created(_)
        | Event::BlockObserved { .. }
        | Event::Refused { .. }
        | Event::DeliverySettled(_) => None,
    }
}
