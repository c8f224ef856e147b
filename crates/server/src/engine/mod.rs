//! The loop: wake, gather, ask `rollout`, append, perform.
//!
//! One task owns every rollout; everybody else asks it through [`Engine`]. The order of work
//! never changes:
//!
//! ```text
//!  something happened            an ask, a trip, a window of traffic, a process, time
//!    -> decide (rollout)         what follows from it
//!    -> append (store)           durable before anything moves
//!    -> apply (rollout)          facts become state
//!    -> reconcile                what should be so is compared with what is, and pushed
//!    -> deliver                  messages owed, from the outbox, last of all
//! ```
//!
//! One thing stands outside the order: going back. The canary's gate is shut in the proxy
//! before the rollback is written down, because shutting is always safe and a full disk must
//! not keep users on a bad version.
//!
//! Deliberately absent: memory of what was pushed. Desired state is computed from the log
//! alone at every step and applied again until the world agrees.

mod address;
mod back;
mod clock;
mod core;
mod counted;
mod create;
mod deliver;
mod feed;
mod gather;
mod handle;
mod history;
mod leaving;
mod list;
mod marker;
mod outbox;
mod proxies;
mod rates;
mod receivers;
mod reconcile;
mod recover;
mod routes;
mod run;
mod show;
mod testers;

pub use self::clock::Clock;
pub use self::core::EngineSettings;
pub use counted::Counted;
pub use handle::{Create, Engine, EngineError};
pub use proxies::{ProxyReport, ProxySync};
pub use run::start;
