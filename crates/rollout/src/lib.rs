//! (the design, in prose; to be written)
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss
    )
)]

pub mod bucket;
pub mod evidence;
pub mod plan;
pub mod route;
pub mod units;
