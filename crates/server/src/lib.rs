//! Who makes it happen: the loop that goes on with every rollout, and everything around it.
//!
//! - [`serve`]: a whole controller in one call.
//! - [`engine`]: wake, gather, ask `rollout`, append, perform.
//! - [`api`]: how programs, the command line and browsers ask the engine.
//! - [`audit`]: whether a log is whole.
//! - [`view`]: a rollout as people see it.
//! - [`documents`]: what is made from a rollout's history.
//! - [`deployers`]: run and stop versions.
//! - [`notifiers`]: tell people and programs.

pub mod api;
pub mod audit;
mod dashboard;
pub mod deployers;
pub mod documents;
pub mod engine;
mod hex;
pub mod notifiers;
pub mod serve;
pub mod view;
