//! Who makes it happen: the loop that goes on with every rollout, and everything around it.
//!
//! - [`engine`]: wake, gather, ask `rollout`, append, perform.
//! - [`deployers`]: run and stop versions.
//! - [`notifiers`]: tell people and programs.
//! - [`view`]: a rollout as people see it.

pub mod deployers;
pub mod engine;
pub mod notifiers;
pub mod view;
