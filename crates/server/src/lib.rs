//! What makes a rollout happen: it runs versions and tells people.
//!
//! - [`deployers`]: run and stop versions.
//! - [`view`]: a rollout as people see it.

pub mod deployers;
pub mod view;
