//! Everything that can be decided from facts alone.
//!
//! A release reaches its users by a [`plan`]: stages, each with an exposure, a soak and gates.
//! While a stage lasts, what every track did is counted in windows of traffic. The counts are
//! facts; [`evidence`] says what they allow us to say: pass, fail, or cannot tell. The
//! [`machine`] makes a decision of it, and the decision is an event. From the events alone
//! follows what should be so: who may meet the canary ([`route`]), and on which side of the
//! split every user is ([`bucket`]).
//!
//! ```text
//!  units <- {bucket, route} <- {plan, evidence} <- machine
//! ```
//!
//! Deliberately absent: the clock, randomness, files, the network, and anything asynchronous.
//! Time is an argument, and so is everything that was observed. The manifest lists nothing
//! that could reach them, the lints forbid the rest, and a check over the repository says so
//! again. The same input gives the same answer, today and in a replay next year.
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
#![cfg_attr(
    test,
    allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)
)]

pub mod bucket;
pub mod evidence;
pub mod machine;
pub mod plan;
pub mod route;
pub mod units;
