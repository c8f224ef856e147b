//! Who is told.
//!
//! [`deliver`] makes one attempt at one message, and says whether it is worth another;
//! [`backoff`] says when. Both know nothing of rollouts: what is owed, and what came of it, is
//! kept by the store's outbox. A message may arrive more than once, always under the same key.
//!
//! - [`webhook`]: signed HTTP messages.
//! - [`message`]: the signature.
//! - [`address`]: which addresses are never dialled.
//! - [`secret`]: where the signing secret comes from.
//! - [`retry`]: what is tried again, and when.

pub mod address;
pub mod message;
pub mod retry;
pub mod secret;
pub mod webhook;

pub use retry::backoff;
pub use webhook::{Class, Client, DeliveryError, client, deliver};
