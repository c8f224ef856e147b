//! The machine: one rollout, from the plan to its end.
//!
//! ```text
//! decide(&Rollout, Input, now) -> Result<Vec<Event>, Refusal>   never does anything
//! Rollout::apply(at, &Event)                                    never decides anything
//! desired(&Rollout) -> Desired                                  what should be so
//! deliveries(&Rollout, seq, &Event) -> Vec<Delivery>            what is owed to others
//! next_wake(&Rollout, now) -> Option<Timestamp>                 when to look again
//! ```
//!
//! A rollout lives like this; every arrow is an [`Event`], and nothing else moves it:
//!
//! ```text
//!  created -> waiting -> deploying -> stage 0 -> stage 1 -> ... -> bake -> promoted
//!                |           |           |          |               |
//!                v           +-----------+-----+----+---------------+
//!           superseded                         v
//!                                        rolling back -> rolled back
//! ```
//!
//! Deliberately absent: the clock (time is an argument), the traffic (counts arrive as
//! [`Input::Evidence`]), retries (what should be so is compared with what is, over and over,
//! by whoever performs it), and the other rollouts of the service, which only
//! [`Board`] knows.

mod apply;
mod board;
mod command;
mod decide;
mod desired;
mod event;
mod explain;
mod input;
mod judge;
mod owed;
mod record;
mod state;
mod wake;

pub use board::{Admitted, Board, Rejected, Request, ServiceFacts, Stopped};
pub use decide::decide;
pub use desired::{Desired, desired};
pub use event::{Advance, Cause, Created, Event, GateVerdict, Settled, TripFacts};
pub use explain::{explain, why};
pub use input::{Actor, Command, Input, Outcome, Refusal};
pub use judge::verdicts;
pub use owed::{Delivery, Level, deliveries};
pub use record::{StageRecord, TrackTotals};
pub use state::{End, Pause, Phase, Release, Rollout, RolloutId, Running, State};
pub use wake::next_wake;
