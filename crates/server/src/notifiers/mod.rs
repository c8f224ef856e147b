//! Who is told: messages that leave the machine.
//!
//! A message is owed by an event and kept in the outbox until it is done or given up. What is
//! here makes one attempt and says what came of it; when to try again is [`backoff`]'s answer,
//! and doing so the engine's.

mod address;
mod backoff;
mod client;
mod error;
mod secret;
pub mod webhook;

pub use backoff::backoff;
pub use client::{Client, client};
pub use error::{Class, DeliveryError};
