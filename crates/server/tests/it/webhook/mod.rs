//! The webhook notifier against a real receiver.

mod delivery;
pub(crate) mod receiver;
mod refusal;
