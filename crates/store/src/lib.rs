//! Where state is kept: an append-only log of events, what those events owe, and who may write.
//!
//! A controller starts by opening a [`Store`] and taking the [`Lease`](lease::Lease). From then on
//! everything it decides goes the same way: [`Store::append`] stores the events and the
//! [deliveries](outbox) they owe in one transaction, and only when that has returned does anything
//! move. After a crash the next start reads the events back and is where the last one was.
//!
//! - [`log`] is the contract: what any database promises here, as two traits.
//! - [`sqlite`] and [`memory`] keep it: one for use, one for simulation, which fails on request.
//!   The same tests run against both.
//! - [`chain`] makes a change to the past visible, [`anchor`] makes a lost end visible, and
//!   [`trail`] goes on past either, for what an operator accepted.
//! - [`lease`] makes sure that one controller writes, and that an overtaken one cannot.
//! - [`handle`] puts a log on a thread of its own and groups the commits of many callers.
//!
//! Deliberately absent: a clock (the time is an argument), any idea of what an event means (a body
//! is text), and a way to change or remove an event.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod anchor;
pub mod chain;
pub mod handle;
pub mod lease;
pub mod log;
pub mod memory;
pub mod outbox;
pub mod sqlite;
pub mod trail;
mod writer;

pub use handle::Store;
