//! The webhook notifier against a real receiver.

mod delivery;
mod receiver;
mod refusal;
